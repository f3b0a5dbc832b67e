package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"wye/internal/bench/report"
)

// describeMachine says where and beside what load a run takes place. What the
// system does not tell stays empty.
func describeMachine() report.Machine {
	m := report.Machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), Started: time.Now()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.Model = field(string(text), "model name")
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		m.Load, _ = strconv.ParseFloat(first, 64)
	}
	return m
}

// field returns the value of the first "name : value" line of text.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
