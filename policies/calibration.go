package policies

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"wye/policies/policyv1"
	"wye/predict"
)

// maxCalibrationBytes bounds a file that wye calibrate wrote.
const maxCalibrationBytes = 64 << 10

// checkCalibration reads the calibration that a stands on, if there is one, and
// puts its content in the place of the file's name.
func (c *checker) checkCalibration(path string, a *policyv1.Ability) {
	if a == nil || a.CalibrationFile == nil && a.Calibration == nil {
		return
	}
	at := path + ".calibration"
	content := []byte(a.GetCalibration())
	if a.CalibrationFile != nil {
		if a.Calibration != nil {
			c.errorf(at, "stated beside calibration_file")
			return
		}
		at = path + ".calibration_file"
		var err error
		if content, err = readCalibration(filepath.Dir(c.file), a.GetCalibrationFile()); err != nil {
			c.errorf(at, "%v", err)
			return
		}
	}
	calibration, err := decodeCalibration(content)
	if err != nil {
		c.errorf(at, "%v", err)
		return
	}
	p := c.predictors[calibration.Predictor]
	if p == nil {
		c.warnf(at, "made with predictor version %s, which this binary lacks, so it counts for nothing; calibrate again",
			quote(calibration.Predictor))
	} else if _, err := p.Calibrated(calibration); err != nil {
		c.errorf(at, "%v", err)
		return
	}
	canonical, err := json.Marshal(calibration)
	if err != nil {
		c.errorf(at, "%v", err)
		return
	}
	a.CalibrationFile, a.Calibration = nil, new(string(canonical))
}

// readCalibration reads a file, named relative to dir.
func readCalibration(dir, name string) ([]byte, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe or a device might never end
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxCalibrationBytes+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxCalibrationBytes {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxCalibrationBytes)
	}
	return content, nil
}

func decodeCalibration(content []byte) (predict.Calibration, error) {
	var c predict.Calibration
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return c, fmt.Errorf("not a calibration: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return c, errors.New("not a calibration: more than one JSON value")
	}
	return c, nil
}

// calibrated returns the model that a's calibration describes, if it was made
// with p. It was checked when the policy was read.
func calibrated(p *predict.Predictor, a *policyv1.Ability) (m predict.Model, prior string, ok bool) {
	if a.GetCalibration() == "" {
		return m, "", false
	}
	c, err := decodeCalibration([]byte(a.GetCalibration()))
	if err != nil || c.Predictor != p.Version() {
		return m, "", false
	}
	if m, err = p.Calibrated(c); err != nil {
		return m, "", false
	}
	return m, fmt.Sprintf("calibrated on %d graded prompts", c.Graded), true
}
