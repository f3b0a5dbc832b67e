package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestImageMapping(t *testing.T) {
	t.Parallel()
	const self = "/opt/wye"
	for line, want := range map[string]bool{
		"00400000-01270000 r-xp 00000000 fe:00 10290401   /opt/wye": true,
		"01270000-024ea000 r--p 00e70000 fe:00 10290401   /opt/wye": true,
		// Variables: forgetting them would undo every assignment.
		"024ea000-02a94000 rw-p 020ea000 fe:00 10290401   /opt/wye": false,
		"024ea000-02a94000 rwxp 020ea000 fe:00 10290401   /opt/wye": false,
		"7f10a000-7f20a000 r--p 00000000 fe:00 1   /lib/libc.so":    false,
		"7f10a000-7f20a000 r--p 00000000 00:00 0":                   false,
		"01270000-00400000 r-xp 00000000 fe:00 10290401   /opt/wye": false,
		"x-y r-xp 00000000 fe:00 10290401   /opt/wye":               false,
		"": false,
	} {
		start, length, ok := imageMapping(line, self)
		if ok != want {
			t.Errorf("%q: %t, want %t", line, ok, want)
		}
		if ok && (start == 0 || length < 1<<20) {
			t.Errorf("%q: %d bytes at %#x", line, length, start)
		}
	}
}

// What is released is read again: the program still runs, its constants are
// what they were and its variables keep what was assigned.
func TestReleaseImage(t *testing.T) {
	constant, variable := strings.Repeat(rootLong(), 2), os.Args[0]
	before := resident(t)
	releaseImage()
	after := resident(t)
	if strings.Repeat(rootLong(), 2) != constant || os.Args[0] != variable {
		t.Error("memory changed")
	}
	if after >= before {
		t.Errorf("%d pages of files are resident, %d were before", after, before)
	}
}

func rootLong() string { return newRootCommand().Long }

// resident is how many pages of files are mapped: statm's shared column.
func resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, resident, shared int
	if _, err := fmt.Sscan(string(text), &size, &resident, &shared); err != nil {
		t.Fatal(err)
	}
	return shared
}
