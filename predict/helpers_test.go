package predict_test

import (
	"os"
	"testing"
)

// marshalled is the shipped weights file.
func marshalled(tb testing.TB) []byte {
	tb.Helper()
	b, err := os.ReadFile("weights/default.wye")
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
