// Package cputime reads how much CPU other processes have used. It must not
// know why somebody asks.
package cputime

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the unit of utime and stime in /proc/<pid>/stat: USER_HZ, which is
// 100 on every architecture that Go's linux ports run on.
const tick = 10 * time.Millisecond

// ErrFormat says that a stat line is not what proc(5) describes.
var ErrFormat = errors.New("unexpected format of a stat line")

// Of returns the user and system time that a process has used so far, all its
// threads included. A process that is gone is an error.
func Of(pid int) (time.Duration, error) {
	line, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, fmt.Errorf("cpu time of process %d: %w", pid, err)
	}
	used, err := Parse(line)
	if err != nil {
		return 0, fmt.Errorf("cpu time of process %d: %w", pid, err)
	}
	return used, nil
}

// Parse returns utime plus stime (fields 14 and 15) of one line of
// /proc/<pid>/stat. The second field, the command's name, may hold spaces and
// parentheses, so fields are counted from the last closing one.
func Parse(line []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(line, ')')
	if end < 0 {
		return 0, ErrFormat
	}
	fields := bytes.Fields(line[end+1:]) // from the third field on
	const utime, stime = 14 - 3, 15 - 3
	if len(fields) <= stime {
		return 0, ErrFormat
	}
	ticks := int64(0)
	for _, field := range fields[utime : stime+1] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil || n < 0 {
			return 0, ErrFormat
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}
