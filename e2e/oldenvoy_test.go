package e2e_test

import (
	"strings"
	"testing"

	"wye/e2e/internal/rig"
)

// oldEnvoy is the oldest release that Wye serves: it takes chains by attempt.
const oldEnvoy = "1.39.3"

// What clients see does not depend on Envoy's version.
func TestOldEnvoy(t *testing.T) {
	s := rig.Start(t, rig.Options{Envoy: oldEnvoy})
	if nodes := s.Public(t)["Wye's /envoys"]; !strings.Contains(nodes, oldEnvoy) {
		t.Fatalf("the Envoys are %s", nodes)
	}
	t.Run("group", func(t *testing.T) {
		for name, test := range shared {
			if strings.HasSuffix(name, "SDK") || name == "PythonAPIs" {
				continue // theirs is the client's side
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, s)
			})
		}
	})
	s.CheckStrict(t)
}

// An edit of the policy is in force on such an Envoy as on any, over both
// variants of xDS.
func TestOldEnvoyPolicyEdit(t *testing.T) {
	for _, sotw := range []bool{false, true} {
		testPolicyEditMovesThings(t, rig.Options{Envoy: oldEnvoy, StateOfTheWorld: sotw})
	}
}

// Nor does a request leave the zone of such an Envoy.
func TestOldEnvoyZones(t *testing.T) {
	t.Parallel()
	testZonesHoldOnEnvoyOfZone(t, oldEnvoy)
}
