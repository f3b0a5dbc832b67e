package envoy_test

import (
	"strings"
	"testing"

	"wye/envoy"
)

func TestRelease(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]envoy.Release{
		"1.40": {Major: 1, Minor: 40}, "1.39.3": {Major: 1, Minor: 39}, "1.41-dev": {Major: 1, Minor: 41},
		"2.0.0-rc.1": {Major: 2},
	} {
		if got, err := envoy.ParseRelease(s); got != want || err != nil {
			t.Errorf("ParseRelease(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "1", "1.", "x.40", "1.x", "-1.2", "1.-2", "v1.40"} {
		if got, err := envoy.ParseRelease(s); err == nil {
			t.Errorf("ParseRelease(%q) = %v", s, got)
		}
	}
	if got := (envoy.Release{Major: 1, Minor: 39}).String(); got != "1.39" {
		t.Error(got)
	}
}

func TestServedReleases(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		r      envoy.Release
		served bool
		full   bool
	}{
		{envoy.Release{Major: 0, Minor: 99}, false, false},
		{envoy.Release{Major: 1, Minor: 38}, false, false},
		{envoy.Release{Major: 1, Minor: 39}, true, false},
		{envoy.Release{Major: 1, Minor: 40}, true, true},
		{envoy.Release{Major: 2, Minor: 0}, true, true},
	} {
		err := tt.r.Served()
		if (err == nil) != tt.served || tt.r.Before(envoy.Full) == tt.full {
			t.Errorf("%v: served %v, before full %v", tt.r, err, tt.r.Before(envoy.Full))
		}
		if err != nil && !strings.Contains(err.Error(), "envoy "+tt.r.String()+" is older than 1.39") {
			t.Error(err)
		}
	}
}
