package xds

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	routematcherv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/router/cluster_specifiers/matcher/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"wye/envoy"
	"wye/router"
)

type anyScore struct{}

func (anyScore) Score(_ *router.Request, _ router.Mode, models []router.ModelIndex, out []router.Estimate) float64 {
	clear(out[:len(models)])
	return 0
}
func (anyScore) Version() string { return "any" }

// randomPolicy is a valid policy of up to four zones.
func randomPolicy(t *testing.T, r *rand.Rand) *router.Snapshot {
	t.Helper()
	zones := []string{"", "global", "eu", "us", "ch", "eu-west"}
	pick := func() string { return zones[r.IntN(len(zones))] }
	var c router.Config
	for i := range 1 + r.IntN(4) {
		c.Models = append(c.Models, router.Model{Name: fmt.Sprintf("m%d", i)})
	}
	for i := range 1 + r.IntN(7) {
		b := router.Backend{
			Name: fmt.Sprintf("b%d", i), Model: router.ModelIndex(r.IntN(len(c.Models))), SendAs: "x", Zone: pick(),
			Address: []string{fmt.Sprintf("10.0.0.%d:80", i+1), fmt.Sprintf("b%d.example:443", i), fmt.Sprintf("unix:/run/b%d", i)}[r.IntN(3)],
		}
		if r.IntN(2) == 0 {
			b.Credential = &router.Credential{Env: fmt.Sprintf("K%d", r.IntN(3)), Header: "Authorization"}
		}
		if r.IntN(3) == 0 {
			b.TLS = &router.TLS{ServerName: "b.example", CAFile: fmt.Sprintf("ca%d", r.IntN(2))}
		}
		if r.IntN(4) == 0 {
			b.PathPrefix = "/p"
		}
		c.Backends = append(c.Backends, b)
	}
	for i := range 1 + r.IntN(5) {
		d := router.Deployment{
			Name: fmt.Sprintf("d%d", i), Zone: pick(), Mode: router.ModeCost, AllowedModes: router.ModeSet(0).With(router.ModeCost),
			MaxAttempts: 1 + r.IntN(4), Scorer: anyScore{}, NamedModels: r.IntN(3) == 0,
		}
		for m := range c.Models {
			if r.IntN(3) > 0 || len(d.Subset) == 0 {
				d.Subset = append(d.Subset, router.ModelIndex(m))
			}
		}
		c.Deployments = append(c.Deployments, d)
	}
	s, err := router.NewSnapshot(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func buildForProof(t *testing.T, s *router.Snapshot) *Resources {
	t.Helper()
	r, err := Build(s, Options{
		Listen: "127.0.0.1:0", ExtProc: "127.0.0.1:1",
		Secret: func(router.Credential) (string, error) { return "key", nil },
		ReadFile: func(string) ([]byte, error) {
			return []byte("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// No policy has a crossing; and each is found that a policy gets when a zone's
// cluster loses its lock, as often as there is another zone to come from.
func TestProofOfRandomPolicies(t *testing.T) {
	t.Parallel()
	broken := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := randomPolicy(t, r)
		built := buildForProof(t, s)
		p, err := Prove(s, built, envoy.Full)
		if err != nil || !p.OK() {
			t.Fatalf("seed %d: %v\n%s", seed, err, p)
		}
		for _, d := range p.Envoys[0].Deployments {
			checkReach(t, s, d)
		}
		b := &s.Backends[r.IntN(len(s.Backends))]
		crossing := false
		for _, d := range p.Envoys[0].Deployments {
			crossing = crossing || len(d.Reachable) > 0 && !router.ZoneAllows(d.Zone, zoneOf(b.Zone))
		}
		edit(t, built, resourcev3.ClusterType, envoy.ClusterName(b.Name, b.Hash, r.IntN(2) == 0), unlock)
		if p, err := Prove(s, built, envoy.Full); err != nil || p.OK() == crossing {
			t.Fatalf("seed %d: backend %s without its lock: %v\n%s", seed, b.Name, err, p)
		}
		if crossing {
			broken++
		}
	}
	if broken < 10 {
		t.Errorf("only %d of the policies could be broken", broken)
	}
}

// checkReach compares a proof with the definition: on an Envoy of every zone, a
// deployment that has any backend of its own reaches just those that its zone
// allows, and is refused by all others.
func checkReach(t *testing.T, s *router.Snapshot, d DeploymentProof) {
	t.Helper()
	allowed, others := 0, 0
	for i := range s.Backends {
		if router.ZoneAllows(d.Zone, zoneOf(s.Backends[i].Zone)) {
			allowed++
		} else {
			others++
		}
	}
	if len(d.Default) == 0 {
		allowed, others = 0, 0 // it is answered without any backend
	}
	if len(d.Reachable) != allowed || len(d.Refused) != others {
		t.Errorf("deployment %s of %s reaches %v and is refused by %v", d.Deployment, d.Zone, d.Reachable, d.Refused)
	}
}

// edit changes one resource as no Build does.
func edit[M proto.Message](t *testing.T, r *Resources, typeURL, name string, change func(*testing.T, M)) {
	t.Helper()
	old, ok := r.Resource(typeURL, name).(M)
	if !ok {
		t.Fatalf("no resource %s", name)
	}
	m := proto.CloneOf(old)
	change(t, m)
	r.byType[typeURL][name] = resource{message: m, version: "edited"}
}

// editOptions changes the HTTP options of a cluster.
func editOptions(t *testing.T, c *clusterv3.Cluster, change func(*httpv3.HttpProtocolOptions)) {
	t.Helper()
	options := new(httpv3.HttpProtocolOptions)
	if err := c.GetTypedExtensionProtocolOptions()[httpProtocolOptions].UnmarshalTo(options); err != nil {
		t.Fatal(err)
	}
	change(options)
	c.TypedExtensionProtocolOptions[httpProtocolOptions] = packed(options)
}

// unlock takes the lock from a cluster that has one.
func unlock(t *testing.T, c *clusterv3.Cluster) {
	t.Helper()
	editOptions(t, c, func(o *httpv3.HttpProtocolOptions) {
		if o.HttpFilters[0].GetName() == rbacFilter {
			o.HttpFilters = o.HttpFilters[1:]
		}
	})
}

// editLock changes the RBAC rules of a cluster.
func editLock(t *testing.T, c *clusterv3.Cluster, change func(*rbacv3.RBAC)) {
	t.Helper()
	editOptions(t, c, func(o *httpv3.HttpProtocolOptions) {
		lock := new(rbacv3.RBAC)
		if err := o.HttpFilters[0].GetTypedConfig().UnmarshalTo(lock); err != nil {
			t.Fatal(err)
		}
		change(lock)
		o.HttpFilters[0] = httpFilter(rbacFilter, lock)
	})
}

// editChain changes the chain by attempt of a route.
func editChain(t *testing.T, r *Resources, route string, change func(*attemptMatcher)) {
	t.Helper()
	edit(t, r, resourcev3.RouteType, envoy.RouteName, func(t *testing.T, c *routev3.RouteConfiguration) {
		for _, r := range c.GetVirtualHosts()[0].GetRoutes() {
			if r.GetName() != route {
				continue
			}
			plugin := r.GetRoute().GetInlineClusterSpecifierPlugin()
			m, err := attemptsOf(plugin.GetExtension().GetTypedConfig())
			if err != nil || m == nil {
				t.Fatal(m, err)
			}
			if change(m); proto.Equal(plugin.GetExtension(), m.extension()) {
				t.Fatal("nothing changed")
			}
			plugin.Extension = m.extension()
			return
		}
		t.Fatal("no route")
	})
}

// The proof fails for whatever way out there is.
func TestProofFindsTheWayOut(t *testing.T) {
	t.Parallel()
	deployment := func(name, zone string) router.Deployment {
		return router.Deployment{
			Name: name, Zone: zone, Mode: router.ModeCost, AllowedModes: router.ModeSet(0).With(router.ModeCost),
			Subset: []router.ModelIndex{0}, MaxAttempts: 2, Scorer: anyScore{},
		}
	}
	s, err := router.NewSnapshot(router.Config{
		Models: []router.Model{{Name: "m"}},
		Backends: []router.Backend{
			{Name: "e", SendAs: "x", Address: "10.0.0.1:80", Zone: "eu"},
			{Name: "u", SendAs: "x", Address: "10.0.0.2:80", Zone: "us", Credential: &router.Credential{Env: "K", Header: "Authorization"}},
		},
		Deployments: []router.Deployment{deployment("auto", ""), deployment("eu-chat", "eu")},
	})
	if err != nil {
		t.Fatal(err)
	}
	us := envoy.ClusterName("u", s.Backends[1].Hash, false)
	onCluster := func(change func(*testing.T, *clusterv3.Cluster)) func(*testing.T, *Resources) {
		return func(t *testing.T, r *Resources) { edit(t, r, resourcev3.ClusterType, us, change) }
	}
	onLock := func(change func(*rbacv3.RBAC)) func(*testing.T, *Resources) {
		return onCluster(func(t *testing.T, c *clusterv3.Cluster) { editLock(t, c, change) })
	}
	onRoute := func(change func(host *routev3.VirtualHost, r *routev3.Route)) func(*testing.T, *Resources) {
		return func(t *testing.T, r *Resources) {
			edit(t, r, resourcev3.RouteType, envoy.RouteName, func(t *testing.T, c *routev3.RouteConfiguration) {
				for _, r := range c.GetVirtualHosts()[0].GetRoutes() {
					if r.GetName() == "deployment/eu-chat" {
						change(c.GetVirtualHosts()[0], r)
						return
					}
				}
				t.Fatal("no route")
			})
		}
	}
	rules := func(l *rbacv3.RBAC) []*rbacconfigv3.Permission {
		return l.GetRules().GetPolicies()[zonePolicyName].GetPermissions()[0].GetOrRules().GetRules()
	}
	allowAll := map[string]*anypb.Any{rbacFilter: packed(&rbacv3.RBACPerRoute{})}
	for name, tt := range map[string]struct {
		change func(*testing.T, *Resources)
		want   string
	}{
		"nothing": {func(*testing.T, *Resources) {}, ""},
		"no lock": {onCluster(unlock), "requests of deployment eu-chat of zone eu can reach backend u of zone us"},
		"a lock that is off": {onCluster(func(t *testing.T, c *clusterv3.Cluster) {
			editOptions(t, c, func(o *httpv3.HttpProtocolOptions) { o.HttpFilters[0].Disabled = true })
		}), "can reach backend u"},
		"no HTTP options":       {onCluster(func(_ *testing.T, c *clusterv3.Cluster) { c.TypedExtensionProtocolOptions = nil }), "can reach backend u"},
		"a lock that denies":    {onLock(func(l *rbacv3.RBAC) { l.Rules.Action = rbacconfigv3.RBAC_DENY }), "can reach backend u"},
		"a lock that only logs": {onLock(func(l *rbacv3.RBAC) { l.Rules.Action = rbacconfigv3.RBAC_LOG }), "can reach backend u"},
		"a lock without rules":  {onLock(func(l *rbacv3.RBAC) { l.Rules, l.ShadowRules = nil, l.Rules }), "can reach backend u"},
		"a lock of another zone": {onLock(func(l *rbacv3.RBAC) {
			rules(l)[1].GetSourcedMetadata().GetMetadataMatcher().Value = metadataIs("", "", "eu").Value
		}), "can reach backend u"},
		"a lock that reads what ext_proc writes": {onLock(func(l *rbacv3.RBAC) {
			rules(l)[0].GetSourcedMetadata().MetadataSource = rbacconfigv3.MetadataSource_DYNAMIC
		}), "can reach backend u"},
		"an inverted lock": {onLock(func(l *rbacv3.RBAC) {
			rules(l)[0].GetSourcedMetadata().GetMetadataMatcher().Invert = true
		}), "can reach backend u"},
		"a lock for everybody": {onLock(func(l *rbacv3.RBAC) {
			rules(l)[0].Rule = &rbacconfigv3.Permission_Any{Any: true}
		}), "can reach backend u"},
		"a route that replaces the lock": {onRoute(func(_ *routev3.VirtualHost, r *routev3.Route) { r.TypedPerFilterConfig = allowAll }), "can reach backend u"},
		"a host that replaces the lock":  {onRoute(func(h *routev3.VirtualHost, _ *routev3.Route) { h.TypedPerFilterConfig = allowAll }), "can reach backend u"},
		"a route of another zone": {onRoute(func(_ *routev3.VirtualHost, r *routev3.Route) {
			r.Metadata.FilterMetadata[envoy.NamespaceDecision].Fields[envoy.KeyZone] = structpb.NewStringValue("global")
		}), "can reach backend u"},
		"a default chain into another zone": {onRoute(func(_ *routev3.VirtualHost, r *routev3.Route) {
			r.GetRoute().ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: us}
		}), "the default chain of deployment eu-chat names backend u"},
		"a mirror": {onRoute(func(_ *routev3.VirtualHost, r *routev3.Route) {
			r.GetRoute().RequestMirrorPolicies = []*routev3.RouteAction_RequestMirrorPolicy{{Cluster: us}}
		}), "leads to more than one place"},
		"a redirect inside": {onRoute(func(_ *routev3.VirtualHost, r *routev3.Route) {
			r.GetRoute().InternalRedirectPolicy = &routev3.InternalRedirectPolicy{}
		}), "leads to more than one place"},
		"a route for everybody":   {onRoute(func(_ *routev3.VirtualHost, r *routev3.Route) { r.Match.DynamicMetadata = nil }), "for requests of any deployment"},
		"a route for all but one": {onRoute(func(_ *routev3.VirtualHost, r *routev3.Route) { r.Match.DynamicMetadata[0].Invert = true }), "for requests of any deployment"},
		"a route of no known kind": {onRoute(func(_ *routev3.VirtualHost, r *routev3.Route) {
			r.Action = &routev3.Route_FilterAction{FilterAction: &routev3.FilterAction{}}
		}), "cannot be followed"},
		"a deployment that nobody has": {onRoute(func(_ *routev3.VirtualHost, r *routev3.Route) {
			r.Match.DynamicMetadata[0].Value = metadataIs("", "", "ghost").Value
		}), `a deployment "ghost" that the policy does not have`},
		"an endpoint elsewhere": {func(t *testing.T, r *Resources) {
			edit(t, r, resourcev3.EndpointType, envoy.ClusterName("e", s.Backends[0].Hash, true), func(_ *testing.T, l *endpointv3.ClusterLoadAssignment) {
				l.GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress().Address = "10.0.0.2"
			})
		}, "is for backend e, but leads to"},
		"a cluster of another's zone": {onCluster(func(_ *testing.T, c *clusterv3.Cluster) {
			c.Metadata.FilterMetadata[envoy.NamespaceDecision].Fields[envoy.KeyZone] = structpb.NewStringValue("eu")
		}), `says zone "eu" of backend u`},
		"a cluster of nobody": {onCluster(func(_ *testing.T, c *clusterv3.Cluster) { c.Metadata = nil }), "no backend of the policy"},
		"a cluster that leads anywhere": {onCluster(func(_ *testing.T, c *clusterv3.Cluster) {
			c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST}
		}), "cannot be followed"},
		"a cluster of another kind": {onCluster(func(_ *testing.T, c *clusterv3.Cluster) {
			c.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{Name: "x"}}
		}), "cannot be followed"},
		"a listener of another kind": {func(t *testing.T, r *Resources) {
			edit(t, r, resourcev3.ListenerType, envoy.ListenerName, func(_ *testing.T, l *listenerv3.Listener) {
				l.DefaultFilterChain = &listenerv3.FilterChain{Filters: []*listenerv3.Filter{{Name: "tcp"}}}
			})
		}, "what filter tcp of listener wye does cannot be followed"},
		"a chain by attempt into another zone": {func(t *testing.T, r *Resources) {
			part, err := r.For("", envoy.Oldest)
			if err != nil {
				t.Fatal(err)
			}
			editChain(t, part, "deployment/eu-chat", func(m *attemptMatcher) { m.clusters[1] = append(m.clusters[1], us) })
			edit(t, part, resourcev3.ClusterType, us, unlock)
		}, "an Envoy 1.39 of every zone: requests of deployment eu-chat of zone eu can reach backend u of zone us"},
		"a default by attempt into another zone": {func(t *testing.T, r *Resources) {
			part, err := r.For("", envoy.Oldest)
			if err != nil {
				t.Fatal(err)
			}
			editChain(t, part, "deployment/eu-chat", func(m *attemptMatcher) { m.byDefault[0] = us })
		}, "an Envoy 1.39 of every zone: the default chain of deployment eu-chat names backend u"},
		"a chain by attempt of no known kind": {func(t *testing.T, r *Resources) {
			part, err := r.For("", envoy.Oldest)
			if err != nil {
				t.Fatal(err)
			}
			edit(t, part, resourcev3.ClusterType, us, unlock)
			edit(t, part, resourcev3.RouteType, envoy.RouteName, func(_ *testing.T, c *routev3.RouteConfiguration) {
				for _, r := range c.GetVirtualHosts()[0].GetRoutes() {
					if r.GetName() == "deployment/eu-chat" {
						r.GetRoute().GetInlineClusterSpecifierPlugin().Extension.TypedConfig = packed(&routematcherv3.MatcherClusterSpecifier{})
					}
				}
			})
		}, "an Envoy 1.39 of every zone: requests of deployment eu-chat of zone eu can reach backend u"},
		"another zone's backend on an Envoy of a zone": {func(t *testing.T, r *Resources) {
			part, err := r.InZone("eu")
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range []string{resourcev3.ClusterType, resourcev3.EndpointType} {
				part.byType[u][us] = r.byType[u][us]
			}
		}, "an Envoy of zone eu: it has backend u of zone us"},
		"another zone's key on an Envoy of a zone": {func(t *testing.T, r *Resources) {
			part, err := r.InZone("eu")
			if err != nil {
				t.Fatal(err)
			}
			name := secretName(&s.Backends[1])
			part.byType[secretType][name] = r.byType[secretType][name]
		}, "an Envoy of zone eu: it has secret " + secretName(&s.Backends[1])},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := buildForProof(t, s)
			tt.change(t, r)
			p, err := Prove(s, r, envoy.Full)
			if err != nil {
				t.Fatal(err)
			}
			if faults := strings.Join(p.Faults, "\n"); p.OK() != (tt.want == "") || !strings.Contains(faults, tt.want) || (p.Err() == nil) != p.OK() {
				t.Errorf("faults %q, want %q", faults, tt.want)
			}
		})
	}
}
