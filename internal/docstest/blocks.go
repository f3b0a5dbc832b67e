package docstest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Kind says how a block is put to the test.
type Kind string

// The kinds.
const (
	KindShell  Kind = "sh"
	KindServer Kind = "sh server"
	KindPython Kind = "python"
	KindPolicy Kind = "yaml"
	KindJSON   Kind = "json"
	KindOutput Kind = "text output"
)

var kinds = []Kind{KindShell, KindServer, KindPython, KindPolicy, KindJSON, KindOutput}

// Block is one fenced code block.
type Block struct {
	Kind Kind
	File string // name to keep it under, "" for none
	Line int    // of its first line of text, from 1
	Text string
}

// A fence is three or more backquotes or tildes, indented at will, since blocks
// stand in lists too.
var fence = regexp.MustCompile("^( *)(```+|~~~+)(.*)$")

// Blocks returns the fenced blocks of a Markdown page, or an error for the
// first one that is not closed or that nothing would test.
func Blocks(page string) ([]Block, error) {
	var (
		blocks []Block
		indent string
		mark   string // the fence that opened the block, "" outside of one
		text   strings.Builder
	)
	for i, line := range strings.Split(page, "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case mark == "" && m != nil:
			b, err := parseInfo(m[3])
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			if b.Kind == KindOutput && (len(blocks) == 0 || !blocks[len(blocks)-1].prints()) {
				return nil, fmt.Errorf("line %d: an output block must follow the sh or python block that prints it", i+1)
			}
			b.Line = i + 2
			blocks = append(blocks, b)
			indent, mark = m[1], m[2]
			text.Reset()
		case mark != "" && m != nil && strings.HasPrefix(m[2], mark) && strings.TrimSpace(m[3]) == "":
			blocks[len(blocks)-1].Text = text.String()
			mark = ""
		case mark != "":
			text.WriteString(strings.TrimPrefix(line, indent))
			text.WriteByte('\n')
		}
	}
	if mark != "" {
		return nil, fmt.Errorf("line %d: the block is not closed", blocks[len(blocks)-1].Line-1)
	}
	return blocks, nil
}

// prints reports whether an output block may follow b.
func (b *Block) prints() bool { return b.Kind == KindShell || b.Kind == KindPython }

// parseInfo reads the info string after an opening fence.
func parseInfo(info string) (Block, error) {
	var b Block
	var words []string
	for word := range strings.FieldsSeq(info) {
		if name, ok := strings.CutPrefix(word, "file="); ok {
			if name == "" || name == ".." || strings.Contains(name, "/") {
				return Block{}, fmt.Errorf("file name %q is not that of a file in the page's folder", name)
			}
			b.File = name
			continue
		}
		words = append(words, word)
	}
	b.Kind = Kind(strings.Join(words, " "))
	if !slices.Contains(kinds, b.Kind) {
		return Block{}, fmt.Errorf("nothing tests a block marked %q: see package docstest", b.Kind)
	}
	return b, nil
}

// MatchOutput reports whether printed is what an output block says. In the
// block, … stands for any text on a line, and alone on a line for any lines.
func MatchOutput(block, printed string) bool {
	var pattern strings.Builder
	pattern.WriteString("^")
	for line := range strings.Lines(strings.TrimSpace(block)) {
		line = strings.TrimRight(line, " \t\n")
		if strings.TrimSpace(line) == "…" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		for i, part := range strings.Split(line, "…") {
			if i > 0 {
				pattern.WriteString(".*")
			}
			pattern.WriteString(regexp.QuoteMeta(part))
		}
		pattern.WriteString(`[ \t]*\n`)
	}
	pattern.WriteString("$")
	if printed = strings.TrimSpace(printed); printed != "" {
		printed += "\n"
	}
	return regexp.MustCompile(pattern.String()).MatchString(printed)
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// prose is a page without its code blocks.
func prose(page string) string {
	var text strings.Builder
	mark := ""
	for line := range strings.Lines(page) {
		m := fence.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		switch {
		case mark == "" && m != nil:
			mark = m[2]
		case mark != "" && m != nil && strings.HasPrefix(m[2], mark):
			mark = ""
		case mark == "":
			text.WriteString(line)
		}
	}
	return text.String()
}

// Links returns the targets of a page's inline links, outside of code blocks.
func Links(page string) []string {
	var targets []string
	for _, m := range link.FindAllStringSubmatch(prose(page), -1) {
		targets = append(targets, m[1])
	}
	return targets
}

// Anchors returns the anchors of a page's headings, as GitHub makes them.
func Anchors(page string) []string {
	var anchors []string
	for _, m := range heading.FindAllStringSubmatch(prose(page), -1) {
		anchor := dropped.ReplaceAllString(strings.ToLower(m[1]), "")
		anchors = append(anchors, strings.ReplaceAll(anchor, " ", "-"))
	}
	return anchors
}
