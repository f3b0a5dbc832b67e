package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"wye/router"
	accounting "wye/usage"
)

// maxRecordBytes bounds a line of a decision log: 64 candidates and clipped text.
const maxRecordBytes = 1 << 20

// replayRecords decides every record of a decision log once more under s, says of
// each whether the decision is the same and sums up. An error means that one is
// not, or that none could be replayed.
func replayRecords(cmd *cobra.Command, path string, s *router.Snapshot, zone string) error {
	in := cmd.InOrStdin()
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	out := cmd.OutOrStdout()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxRecordBytes)
	same, differ, skipped := 0, 0, 0
	for n := 1; lines.Scan(); n++ {
		var r accounting.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("%s: line %d is no decision record: %w", path, n, err)
		}
		differences, err := accounting.Replay(&r, s, zone)
		switch {
		case errors.Is(err, accounting.ErrOtherPolicy) || errors.Is(err, accounting.ErrNoInputs):
			skipped++
			fmt.Fprintf(out, "%s  not replayed: %v\n", r.Decision, err)
		case err != nil:
			return fmt.Errorf("%s: line %d: %w", path, n, err)
		case len(differences) > 0:
			differ++
			fmt.Fprintf(out, "%s  differs\n", r.Decision)
			for _, d := range differences {
				fmt.Fprintf(out, "  %s\n", d)
			}
		default:
			same++
			fmt.Fprintf(out, "%s  the same%s\n", r.Decision, extent(&r))
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	summarise(out, same, differ, skipped)
	switch {
	case differ > 0:
		return errors.New("decisions differ")
	case same == 0:
		return errors.New("no decision could be replayed")
	}
	return nil
}

// extent says how much of a record was decided anew.
func extent(r *accounting.Record) string {
	if r.Inputs.Text != nil {
		return ", estimates included"
	}
	return ", given its estimates"
}

func summarise(w io.Writer, same, differ, skipped int) {
	fmt.Fprintf(w, "%d the same bit for bit, %d differ, %d not replayed\n", same, differ, skipped)
}
