package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// logFlags are how a long-running command logs.
type logFlags struct{ level, format string }

func (f *logFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.level, "log-level", "info", "`level`: debug, info, warn or error")
	cmd.Flags().StringVar(&f.format, "log-format", "auto", "`format`: json, text, or auto: text on a terminal")
}

// logger writes to w. The error is about the flags.
func (f *logFlags) logger(w io.Writer) (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(f.level)
	if err != nil || level < zerolog.DebugLevel || level > zerolog.ErrorLevel {
		return zerolog.Nop(), usageError{fmt.Errorf("--log-level %q is none of debug, info, warn, error", f.level)}
	}
	text := false
	switch f.format {
	case "json":
	case "text":
		text = true
	case "auto":
		text = isTerminal(w)
	default:
		return zerolog.Nop(), usageError{fmt.Errorf("--log-format %q is none of json, text, auto", f.format)}
	}
	if text {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly, NoColor: !isTerminal(w)}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger(), nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
