package e2e_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wye/e2e/internal/rig"
)

// A fleet of 50 takes every edit, for what an edit changes. How fast is nobody's
// promise here.
func TestFleetBench(t *testing.T) {
	root, err := rig.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "report.json")
	cmd := exec.CommandContext(t.Context(), "go", "run", "./internal/fleetbench", "-members", "50", "-envoys", "2",
		"-rounds", "2", "-deployments", "100", "-idle", "1s", "-wye", rig.Binary(t), "-json", path)
	cmd.Dir = root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Whole int64   `json:"whole_bytes"`
		Edit  int64   `json:"edit_bytes"`
		Parts int     `json:"edit_parts"`
		Last  float64 `json:"last_ack_p99"`
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if r.Parts != 1 || r.Edit == 0 || r.Edit > 1000 || r.Whole < 20*r.Edit || r.Last <= 0 {
		t.Errorf("report %s", text)
	}
	if !strings.Contains(string(out), "last acknowledgement, p99") {
		t.Errorf("the report is %s", out)
	}
}
