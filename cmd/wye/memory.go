package main

import (
	"os"
	"runtime/debug"
)

// gcPercent is how much the heap may grow between collections. A sidecar shares
// its machine: under 100 clients and a reload a second its memory peaks at 61 MiB
// at Go's default of 100 and at 55 at 50, where collecting takes a tenth of Wye's
// share of the CPU time. $GOGC has the last word.
const gcPercent = 80

// settleMemory is called once a long-running command is up: what starting left
// behind, mostly by the compilation of the policy's rules, goes back to the
// system.
func settleMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	debug.FreeOSMemory()
	releaseImage()
}
