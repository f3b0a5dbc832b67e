package eval

import (
	"cmp"
	"math"
	"slices"
)

// Point is a way of serving a pool: mean cost in US dollars a prompt, and mean
// quality.
type Point struct {
	Cost    float64 `json:"cost"`
	Quality float64 `json:"quality"`
}

// Hull returns the upper convex hull of points from the cheapest to the best:
// what a coin flip between two of them reaches. Costs and qualities both rise
// strictly along it.
func Hull(points []Point) []Point {
	sorted := slices.Clone(points)
	slices.SortFunc(sorted, func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.Cost, b.Cost), cmp.Compare(b.Quality, a.Quality))
	})
	var hull []Point
	for _, p := range sorted {
		if n := len(hull); n > 0 && p.Quality <= hull[n-1].Quality {
			continue // dearer and no better
		}
		for n := len(hull); n > 1 && slope(hull[n-2], p) >= slope(hull[n-2], hull[n-1]); n-- {
			hull = hull[:n-1]
		}
		hull = append(hull, p)
	}
	return hull
}

func slope(a, b Point) float64 { return (b.Quality - a.Quality) / (b.Cost - a.Cost) }

// qualityAt returns what curve, sorted by cost, reaches for cost: linear
// between its points, since a coin flip reaches that, and flat outside them.
func qualityAt(curve []Point, cost float64) float64 {
	at, _ := slices.BinarySearchFunc(curve, cost, func(p Point, c float64) int { return cmp.Compare(p.Cost, c) })
	switch {
	case at == 0:
		return curve[0].Quality
	case at == len(curve):
		return curve[at-1].Quality
	}
	a, b := curve[at-1], curve[at]
	return a.Quality + (b.Quality-a.Quality)*(cost-a.Cost)/(b.Cost-a.Cost)
}

// costAt returns what hull charges for quality. Beyond the hull's best that is
// the price of its best, below its cheapest the price of its cheapest: both
// understate what a router saves.
func costAt(hull []Point, quality float64) float64 {
	for i, p := range hull {
		if quality <= p.Quality {
			if i == 0 {
				return p.Cost
			}
			a := hull[i-1]
			return a.Cost + (p.Cost-a.Cost)*(quality-a.Quality)/(p.Quality-a.Quality)
		}
	}
	return hull[len(hull)-1].Cost
}

// cheapestAt returns the least cost at which curve, sorted by cost, reaches
// quality; NaN when it never does.
func cheapestAt(curve []Point, quality float64) float64 {
	for i, p := range curve {
		if p.Quality < quality {
			continue
		}
		if i == 0 {
			return p.Cost
		}
		a := curve[i-1]
		return a.Cost + (p.Cost-a.Cost)*(quality-a.Quality)/(p.Quality-a.Quality)
	}
	return math.NaN()
}

// areaSteps is the number of trapezoids of an area.
const areaSteps = 128

// area integrates curve minus hull over the logarithm of cost, from the hull's
// cheapest point to its best. NaN when the hull has one point or costs nothing.
func area(curve, hull []Point) float64 {
	low, high := hull[0].Cost, hull[len(hull)-1].Cost
	if len(hull) < 2 || low <= 0 {
		return math.NaN()
	}
	return integrate(fromCheapest(curve, hull), hull, low, high, math.Log, math.Exp)
}

// fromCheapest begins curve at the hull's cheapest point where it would begin
// later: sending everything to the cheapest model is open to everyone.
func fromCheapest(curve, hull []Point) []Point {
	if curve[0].Cost > hull[0].Cost {
		return slices.Insert(slices.Clone(curve), 0, hull[0])
	}
	return curve
}

// integrate is the integral of curve minus hull over scale(cost) from low to
// high; back is the inverse of scale.
func integrate(curve, hull []Point, low, high float64, scale, back func(float64) float64) float64 {
	from := scale(low)
	step := (scale(high) - from) / areaSteps
	sum := 0.0
	for i := range areaSteps + 1 {
		cost := back(from + float64(i)*step)
		weight := 1.0
		if i == 0 || i == areaSteps {
			weight = 0.5
		}
		sum += weight * (qualityAt(curve, cost) - qualityAt(hull, cost))
	}
	return sum * step
}

// byCost sorts points into a curve. Of points with one cost the better stays,
// so that costs rise strictly.
func byCost(points []Point) []Point {
	slices.SortFunc(points, func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.Cost, b.Cost), cmp.Compare(b.Quality, a.Quality))
	})
	return slices.CompactFunc(points, func(a, b Point) bool { return a.Cost == b.Cost })
}
