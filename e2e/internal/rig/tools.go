package rig

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthgrpc "google.golang.org/grpc/health/grpc_health_v1"

	"wye/envoy"
)

// Root is the repository's root.
var Root = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
})

// binary builds Wye once, as make build does, unless BinaryVariable names one.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(BinaryVariable); path != "" {
		return path, nil
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "bin", "wye-e2e")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, "./cmd/wye")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New("build wye: " + err.Error() + "\n" + string(out))
	}
	return path, nil
})

// BinaryVariable names a Wye to try in place of the working tree's.
const BinaryVariable = "WYE_E2E_BINARY"

// Binary returns the path of Wye.
func Binary(t testing.TB) string {
	t.Helper()
	return must(t, binary)
}

var envoyBinary = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	b, err := envoy.Find(ctx, envoy.FindOptions{})
	return b.Path, err
})

// EnvoyBinary returns the path of Envoy, installed if need be.
func EnvoyBinary(t testing.TB) string {
	t.Helper()
	return must(t, envoyBinary)
}

// EnvoyOf returns the path of Envoy of a pinned version, installed if need be.
func EnvoyOf(t testing.TB, version string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	b, err := envoy.Find(ctx, envoy.FindOptions{Version: version})
	if err != nil {
		t.Fatal(err)
	}
	return b.Path
}

// python makes the virtual environment that make e2e makes, where there is
// none or it is older than the requirements.
var python = sync.OnceValues(func() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	requirements := filepath.Join(root, "e2e", "requirements.txt")
	venv := filepath.Join(root, ".cache", "venv")
	ready := filepath.Join(venv, "ready")
	interpreter := filepath.Join(venv, "bin", "python")
	wanted, err := os.Stat(requirements)
	if err != nil {
		return "", err
	}
	if made, err := os.Stat(ready); err == nil && !made.ModTime().Before(wanted.ModTime()) {
		return interpreter, nil
	}
	for _, args := range [][]string{
		{"-m", "venv", "--without-pip", venv},
		{"-m", "pip", "--python", interpreter, "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary=:all:", "-r", requirements},
	} {
		if out, err := exec.Command("python3", args...).CombinedOutput(); err != nil {
			return "", errors.New("install the Python SDK: " + err.Error() + "\n" + string(out))
		}
	}
	return interpreter, os.WriteFile(ready, nil, 0o600)
})

// Python returns the path of a Python that has the OpenAI SDK.
func Python(t testing.TB) string {
	t.Helper()
	return must(t, python)
}

func must(t testing.TB, find func() (string, error)) string {
	t.Helper()
	path, err := find()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Command runs one Wye command to its end and returns what it printed and its
// exit code.
func Command(t testing.TB, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(t), args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader([]byte(stdin)), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("wye %q: %v", args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Output is Command that must succeed.
func Output(t testing.TB, args ...string) string {
	t.Helper()
	stdout, stderr, code := Command(t, "", args...)
	if code != 0 {
		t.Fatalf("wye %q: exit code %d: %s", args, code, stderr)
	}
	return stdout
}

// healthy asks the gRPC health service at a Unix socket.
func healthy(socket string) bool {
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return false
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	reply, err := healthgrpc.NewHealthClient(conn).Check(ctx, &healthgrpc.HealthCheckRequest{})
	return err == nil && reply.GetStatus() == healthgrpc.HealthCheckResponse_SERVING
}
