package train

import (
	"math"
	"slices"
)

// point is a mean cost in US dollars and a mean score.
type point struct{ cost, quality float64 }

// curve is a concave chain of points by rising cost and quality: what random
// mixes of its points reach.
type curve []point

// upperHull is the curve of the best random mixes of points.
func upperHull(points []point) curve {
	sorted := slices.Clone(points)
	slices.SortFunc(sorted, func(a, b point) int {
		switch {
		case a.cost < b.cost || a.cost == b.cost && a.quality > b.quality:
			return -1
		case a == b:
			return 0
		}
		return 1
	})
	var hull curve
	for _, p := range sorted {
		if len(hull) > 0 && p.quality <= hull[len(hull)-1].quality {
			continue
		}
		for len(hull) > 1 {
			a, b := hull[len(hull)-2], hull[len(hull)-1]
			if (b.quality-a.quality)*(p.cost-a.cost) > (p.quality-a.quality)*(b.cost-a.cost) {
				break
			}
			hull = hull[:len(hull)-1]
		}
		hull = append(hull, p)
	}
	return hull
}

// qualityAt is the best quality for a cost: constant beyond the last point, and
// zero before the first.
func (c curve) qualityAt(cost float64) float64 {
	if len(c) == 0 || cost < c[0].cost {
		return 0
	}
	for i := 1; i < len(c); i++ {
		if a, b := c[i-1], c[i]; cost < b.cost {
			return a.quality + (b.quality-a.quality)*(cost-a.cost)/(b.cost-a.cost)
		}
	}
	return c[len(c)-1].quality
}

// costOf is the least cost of a quality; infinite where it is out of reach of
// the curve, and the first point's below it.
func (c curve) costOf(quality float64) float64 {
	for i, b := range c {
		if quality > b.quality {
			continue
		}
		if i == 0 {
			return b.cost
		}
		a := c[i-1]
		return a.cost + (b.cost-a.cost)*(quality-a.quality)/(b.quality-a.quality)
	}
	return c[len(c)-1].cost
}

// areaAbove integrates the mixes of points less the hull over log cost.
func areaAbove(points []point, hull curve, from, to float64) float64 {
	reach := upperHull(points)
	const steps = 400
	var sum float64
	for i := range steps {
		cost := from * math.Pow(to/from, (float64(i)+0.5)/steps)
		sum += max(reach.qualityAt(cost), 0) - hull.qualityAt(cost)
	}
	return sum / steps
}
