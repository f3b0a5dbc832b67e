package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wye/e2e/internal/rig"
)

var updatePairs = flag.Bool("update", false, "rewrite the table of docs/translation.md")

const (
	pairsPage  = "../docs/translation.md"
	pairsStart = "<!-- pairs: go test ./e2e -run TestWye/group/Pairs -update -->\n"
	pairsEnd   = "<!-- end of pairs -->\n"
)

// testPairs tries every pair of a client's API and a provider's with the official
// SDKs. What it finds is the table of docs/translation.md.
func testPairs(t *testing.T, s *rig.Stack) {
	cmd := exec.CommandContext(t.Context(), rig.Python(t), filepath.Join("testdata", "translate.py"), s.URL+"/v1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var features, pairs []string
	works := map[string]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(output)); lines.Scan(); {
		var line struct{ Feature, Client, Provider, Failure string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		pair := line.Client + " → " + line.Provider
		if len(features) == 0 || features[len(features)-1] != line.Feature {
			features = append(features, line.Feature)
		}
		if len(features) == 1 {
			pairs = append(pairs, pair)
		}
		t.Run(pair+"/"+line.Feature, func(t *testing.T) {
			if works[pair+line.Feature] = line.Failure == ""; line.Failure != "" {
				t.Error(line.Failure)
			}
		})
	}
	var table strings.Builder
	fmt.Fprintf(&table, "| client → provider | %s |\n|%s\n", strings.Join(pairs, " | "), strings.Repeat(" --- |", len(pairs)+1))
	for _, f := range features {
		fmt.Fprintf(&table, "| %s |", f)
		for _, p := range pairs {
			mark := " no |"
			if works[p+f] {
				mark = " yes |"
			}
			table.WriteString(mark)
		}
		table.WriteByte('\n')
	}
	page, err := os.ReadFile(pairsPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), pairsStart)
	is, after, ok2 := strings.Cut(rest, pairsEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", pairsPage)
	}
	if is == table.String() {
		return
	}
	if !*updatePairs {
		t.Errorf("%s says otherwise than is so:\n%s", pairsPage, table.String())
		return
	}
	if err := os.WriteFile(pairsPage, []byte(before+pairsStart+table.String()+pairsEnd+after), 0o600); err != nil {
		t.Fatal(err)
	}
}
