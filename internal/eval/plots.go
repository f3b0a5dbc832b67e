package eval

import (
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
)

// WritePlots writes a cost-quality plot of every pool to dir, which it makes,
// as SOURCE.svg. SVG is written by hand because gonum.org/v1/plot, the obvious
// library, adds 7 MB to the binary and 4 MB to the resident memory of every
// sidecar that never plots.
func (r *Report) WritePlots(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range r.Pools {
		var b strings.Builder
		if err := r.Pools[i].plot(&b); err != nil {
			return err
		}
		name := filepath.Join(dir, plotName(r.Pools[i].Source))
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// plotName is the file name of a source's plot: source names come from data
// files and must not choose the folder.
func plotName(source string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, source) + ".svg"
}

const (
	plotWidth, plotHeight                       = 760.0, 480.0
	marginLeft, marginRight, marginTop, marginX = 62.0, 178.0, 34.0, 48.0
)

// frame maps costs, on a logarithmic axis, and qualities to the page.
type frame struct{ lowCost, highCost, lowQuality, highQuality float64 }

func (f *frame) x(cost float64) float64 {
	share := math.Log(max(cost, f.lowCost)/f.lowCost) / math.Log(f.highCost/f.lowCost)
	return marginLeft + share*(plotWidth-marginLeft-marginRight)
}

func (f *frame) y(quality float64) float64 {
	share := (quality - f.lowQuality) / (f.highQuality - f.lowQuality)
	return plotHeight - marginX - share*(plotHeight-marginTop-marginX)
}

// newFrame fits all points with a positive cost and some room around them.
func newFrame(sets ...[]Point) frame {
	f := frame{math.Inf(1), 0, math.Inf(1), math.Inf(-1)}
	for _, s := range sets {
		for _, p := range s {
			if p.Cost > 0 {
				f.lowCost, f.highCost = min(f.lowCost, p.Cost), max(f.highCost, p.Cost)
			}
			f.lowQuality, f.highQuality = min(f.lowQuality, p.Quality), max(f.highQuality, p.Quality)
		}
	}
	if f.highCost == 0 {
		f.lowCost, f.highCost = 1, 1
	}
	f.lowCost, f.highCost = f.lowCost/1.3, f.highCost*1.3
	f.lowQuality, f.highQuality = f.lowQuality-0.02, f.highQuality+0.02
	return f
}

// Colours that stay apart for colour-blind readers.
const (
	colourHull   = "#777777"
	colourOracle = "#009e73"
	colourWye    = "#0072b2"
	colourLookup = "#e69f00"
)

func (r *PoolReport) plot(w io.Writer) error {
	c := &r.curves
	f := newFrame(c.models, c.oracle, c.wye, c.lookup)
	p := &page{}
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="11">`, plotWidth, plotHeight)
	p.printf(`<rect width="%g" height="%g" fill="#ffffff"/>`, plotWidth, plotHeight)
	p.text(plotWidth/2, 18, "middle", fmt.Sprintf("%s: quality against cost, %d prompts (%s costs)", r.Source, r.Prompts, r.CostBasis))
	p.axes(&f)
	p.line(&f, c.hull, colourHull, "5 4")
	p.line(&f, c.oracle, colourOracle, "2 3")
	p.line(&f, c.lookup, colourLookup, "none")
	p.line(&f, c.wye, colourWye, "none")
	for i, pt := range c.models {
		p.printf(`<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>%s</title></circle>`,
			f.x(pt.Cost), f.y(pt.Quality), colourHull, html.EscapeString(r.Models[i].Model))
		if r.Models[i].OnHull {
			p.text(f.x(pt.Cost)+5, f.y(pt.Quality)+11, "start", r.Models[i].Model)
		}
	}
	for i, pt := range c.modes {
		p.printf(`<rect x="%.1f" y="%.1f" width="8" height="8" fill="%s"><title>%s</title></rect>`,
			f.x(pt.Cost)-4, f.y(pt.Quality)-4, colourWye, html.EscapeString(r.Wye.Modes[i].Mode))
		// Modes lie close together: every other label goes below.
		p.text(f.x(pt.Cost), f.y(pt.Quality)-8+float64(i%2)*26, "middle", r.Wye.Modes[i].Mode)
	}
	p.legend(len(c.lookup) > 0)
	p.printf("</svg>")
	_, err := io.WriteString(w, p.b.String())
	return err
}

type page struct{ b strings.Builder }

func (p *page) printf(format string, a ...any) {
	fmt.Fprintf(&p.b, format+"\n", a...)
}

func (p *page) text(x, y float64, anchor, s string) {
	p.printf(`<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(s))
}

func (p *page) line(f *frame, points []Point, colour, dash string) {
	if len(points) == 0 {
		return
	}
	// A mix of two points is straight in cost, and so bent on a logarithmic axis.
	var at []string
	for i, pt := range points {
		const parts = 12
		for k := 1; i > 0 && k < parts; k++ {
			cost := points[i-1].Cost + (pt.Cost-points[i-1].Cost)*float64(k)/parts
			at = append(at, fmt.Sprintf("%.1f,%.1f", f.x(cost), f.y(qualityAt(points, cost))))
		}
		at = append(at, fmt.Sprintf("%.1f,%.1f", f.x(pt.Cost), f.y(pt.Quality)))
	}
	p.printf(`<polyline fill="none" stroke="%s" stroke-width="1.8" stroke-dasharray="%s" points="%s"/>`,
		colour, dash, strings.Join(at, " "))
}

func (p *page) axes(f *frame) {
	left, bottom := marginLeft, plotHeight-marginX
	p.printf(`<path d="M%g %gV%gH%g" fill="none" stroke="#000000"/>`, left, marginTop, bottom, plotWidth-marginRight)
	for e := math.Floor(math.Log10(f.lowCost)); e <= math.Ceil(math.Log10(f.highCost)); e++ {
		for _, m := range []float64{1, 2, 5} {
			if c := m * math.Pow(10, e); c >= f.lowCost && c <= f.highCost {
				p.printf(`<path d="M%.1f %gv5" stroke="#000000"/>`, f.x(c), bottom)
				p.text(f.x(c), bottom+17, "middle", fmt.Sprintf("%.3g", c*1000))
			}
		}
	}
	step := 0.05
	if f.highQuality-f.lowQuality > 0.5 {
		step = 0.1
	}
	for i := math.Ceil(f.lowQuality / step); i*step <= f.highQuality; i++ {
		p.printf(`<path d="M%g %.1fh-5" stroke="#000000"/>`, left, f.y(i*step))
		p.text(left-8, f.y(i*step)+4, "end", fmt.Sprintf("%.2f", i*step))
	}
	p.text((left+plotWidth-marginRight)/2, plotHeight-10, "middle", "US dollars per 1,000 prompts, logarithmic")
}

func (p *page) legend(lookup bool) {
	y := marginTop + 10
	entry := func(colour, dash, name string) {
		x := plotWidth - marginRight + 14
		p.printf(`<path d="M%g %gh26" stroke="%s" stroke-width="1.8" stroke-dasharray="%s"/>`, x, y, colour, dash)
		p.text(x+32, y+4, "start", name)
		y += 20
	}
	entry(colourWye, "none", "Wye, every rate")
	if lookup {
		entry(colourLookup, "none", lookupName)
	}
	entry(colourHull, "5 4", "mix of single models")
	entry(colourOracle, "2 3", "oracle")
}
