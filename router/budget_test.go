package router_test

import (
	"testing"

	"wye/router"
)

// A floor holds against the deployment's mode and the client's, and allows
// thriftier ones, whatever modes clients may ask for.
func TestFloor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		own, asked, floor, want router.Mode
		stepped                 bool
	}{
		{router.ModeQuality, 0, 0, router.ModeQuality, false},
		{router.ModeQuality, 0, router.ModeBalanced, router.ModeBalanced, true},
		{router.ModeQuality, router.ModeCost, router.ModeBalanced, router.ModeCost, false},
		{router.ModeCost, 0, router.ModeBalanced, router.ModeCost, false},
		{router.ModeBalanced, router.ModeQuality, router.ModeCost, router.ModeCost, true},
		{router.ModeBalanced, 0, router.ModeBalanced, router.ModeBalanced, false},
	} {
		s, err := router.NewSnapshot(router.Config{
			Models: []router.Model{{Name: "m"}}, Backends: []router.Backend{{Name: "b"}},
			Deployments: []router.Deployment{{
				Name: "d", Mode: tt.own, AllowedModes: router.ModeSet(0).With(tt.own).With(router.ModeQuality).With(tt.asked),
				Subset: []router.ModelIndex{0}, MaxAttempts: 1, Scorer: scores(1),
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		var d router.Decision
		if err := s.Route(&router.Request{Deployment: []byte("d"), Mode: tt.asked, Floor: tt.floor}, &d); err != nil {
			t.Fatal(err)
		}
		if d.Mode != tt.want || d.Stepped != tt.stepped {
			t.Errorf("%v asked of %v over %v: %v, %t", tt.asked, tt.own, tt.floor, d.Mode, d.Stepped)
		}
		d.Reset()
		if d.Stepped {
			t.Error("stepped after a reset")
		}
	}
}
