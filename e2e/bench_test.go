package e2e_test

import (
	"os/exec"
	"strings"
	"testing"

	"wye/e2e/internal/rig"
)

// The benchmark runs, and every variant in it answers as it must. What it
// measures is nobody's promise here.
func TestBench(t *testing.T) {
	root, err := rig.Root()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "./internal/bench", "-short", "-wye", rig.Binary(t))
	cmd.Dir = root
	cmd.Env = append(cmd.Environ(), "WYE_ENVOY="+rig.EnvoyBinary(t))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	for _, want := range []string{"| Wye |", "| Envoy alone |", "Wye / headers-only no-op", "Wye / three-message no-op"} {
		if strings.Count(string(out), want) != 3 { // workloads
			t.Errorf("the report does not have %q for each workload:\n%s", want, out)
		}
	}
}
