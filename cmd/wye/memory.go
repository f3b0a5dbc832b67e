package main

import (
	"os"
	"runtime/debug"
)

// gcPercent is how much the heap may grow between collections. A sidecar shares
// its machine: at Go's default of 100 its memory peaks above 64 MiB under 100
// clients and a reload a second for a minute, at this below, for more of the CPU
// time. $GOGC has the last word.
const gcPercent = 25

// settleMemory is called once a long-running command is up: what starting left
// behind, mostly by the compilation of the policy's rules, goes back to the
// system.
func settleMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	returnMemory()
}

// returnMemory gives back what starting, or an edit of the policy, has used and
// serving does not need.
func returnMemory() {
	debug.FreeOSMemory()
	releaseImage()
}
