package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// releaseImage gives back the pages of the program's own code and constants,
// which the kernel reads again, from its cache, when they are needed. Starting
// touches nearly all of them, most of all the descriptors of Envoy's API; serving
// needs a third. It is an economy, so whatever fails is left as it is.
func releaseImage() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		start, length, ok := imageMapping(lines.Text(), self)
		if ok {
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, start, length, syscall.MADV_DONTNEED)
		}
	}
}

// imageMapping reads a line of /proc/self/maps (proc_pid_maps(5)) and reports
// whether it is a mapping of the program's file that nobody can have written to:
// forgetting one that was written to would lose what was written.
func imageMapping(line, self string) (start, length uintptr, ok bool) {
	f := strings.Fields(line)
	if len(f) != 6 || f[5] != self || (f[1] != "r-xp" && f[1] != "r--p") {
		return 0, 0, false
	}
	var end uintptr
	if n, err := fmt.Sscanf(f[0], "%x-%x", &start, &end); n != 2 || err != nil || end <= start {
		return 0, 0, false
	}
	return start, end - start, true
}
