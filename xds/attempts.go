package xds

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	corexdsv3 "github.com/cncf/xds/go/xds/core/v3"
	treev3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	setstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	inputsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	routematcherv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/router/cluster_specifiers/matcher/v3"
	prioritygroupv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/router/cluster_specifiers/priority_group/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"wye/envoy"
	"wye/router"
)

// An Envoy without the priority_group cluster specifier, 1.39, takes its chains
// by attempt. The ext_proc server writes the cluster of each attempt into dynamic
// metadata; attemptFilter copies that to filter state, because matching on dynamic
// metadata in a cluster specifier crashes Envoy; and the route's matcher, which
// Envoy asks anew for every retry, takes the attempt's. All it can name are the
// clusters that it lists: those of the deployment in its zone.
//
// Which attempt it is Envoy says in attemptCount, one late: the header is set
// after the cluster is chosen, so it is absent for the first and 1 for the second.

// attemptCount is a request header that Envoy sets, and no client can: see
// reservedHeaders.
const attemptCount = "x-envoy-attempt-count"

// attemptFilter copies the chain from dynamic metadata to filter state.
func attemptFilter() *hcmv3.HttpFilter {
	c := &setstatev3.Config{ClearRouteCache: true}
	for i := 1; i <= envoy.MaxChain; i++ {
		c.OnRequestHeaders = append(c.OnRequestHeaders, &filterstatev3.FilterStateValue{
			Key:        &filterstatev3.FilterStateValue_ObjectKey{ObjectKey: envoy.AttemptState(i)},
			FactoryKey: "envoy.string",
			Value: &filterstatev3.FilterStateValue_FormatString{FormatString: &corev3.SubstitutionFormatString{
				Format: &corev3.SubstitutionFormatString_TextFormatSource{
					TextFormatSource: inline("%DYNAMIC_METADATA(" + envoy.NamespaceRoute + ":" + strconv.Itoa(i) + ")%"),
				},
				OmitEmptyValues: true,
			}},
			SkipIfEmpty: true,
		})
	}
	return httpFilter("wye.attempts", c)
}

// attemptChain chooses what the chain says or, where it says nothing that is of
// the deployment, what the default order of the groups does.
func (b *builder) attemptChain(d *router.Deployment, api router.API, groups []*prioritygroupv3.PriorityGroup) *corev3.TypedExtensionConfig {
	var all []string
	for i := range d.Subset {
		for _, index := range d.Serving(api, i) {
			backend := &b.snapshot.Backends[index]
			for _, u := range usesOf(backend) {
				all = append(all, u.cluster(backend))
			}
		}
	}
	all = append(all, envoy.ExhaustedCluster)
	m := attemptMatcher{}
	for i := range d.MaxAttempts + 1 {
		m.byDefault = append(m.byDefault, groups[min(i, len(groups)-1)].GetClusters()[0].GetClusterName())
		m.clusters = append(m.clusters, all)
	}
	return m.extension()
}

// attemptMatcher is what a cluster matcher of attemptChain consists of: for each
// attempt the clusters that may be named, and the one without a name.
type attemptMatcher struct {
	byDefault []string
	clusters  [][]string
}

func (m *attemptMatcher) extension() *corev3.TypedExtensionConfig {
	later := make(map[string]*treev3.Matcher_OnMatch)
	for i := 1; i < len(m.clusters); i++ {
		later[strconv.Itoa(i)] = m.attempt(i)
	}
	tree := m.attempt(0)
	if len(later) > 0 {
		tree = onMatch(matcherTree(
			&matcherv3.HttpRequestHeaderMatchInput{HeaderName: attemptCount}, later, tree))
	}
	return &corev3.TypedExtensionConfig{
		Name:        "envoy.router.cluster_specifier_plugin.matcher",
		TypedConfig: packed(&routematcherv3.MatcherClusterSpecifier{ClusterMatcher: tree.GetMatcher()}),
	}
}

// attempt chooses the cluster of one attempt, from 0.
func (m *attemptMatcher) attempt(i int) *treev3.Matcher_OnMatch {
	named := make(map[string]*treev3.Matcher_OnMatch)
	for _, c := range m.clusters[i] {
		named[c] = clusterAction(c)
	}
	return onMatch(matcherTree(&inputsv3.FilterStateInput{Key: envoy.AttemptState(i + 1)}, named, clusterAction(m.byDefault[i])))
}

func onMatch(m *treev3.Matcher) *treev3.Matcher_OnMatch {
	return &treev3.Matcher_OnMatch{OnMatch: &treev3.Matcher_OnMatch_Matcher{Matcher: m}}
}

func clusterAction(name string) *treev3.Matcher_OnMatch {
	return &treev3.Matcher_OnMatch{OnMatch: &treev3.Matcher_OnMatch_Action{Action: &corexdsv3.TypedExtensionConfig{
		Name: "cluster", TypedConfig: packed(&routematcherv3.ClusterAction{Cluster: name}),
	}}}
}

// matcherTree is a matcher that looks up what input says.
func matcherTree(input proto.Message, by map[string]*treev3.Matcher_OnMatch, otherwise *treev3.Matcher_OnMatch) *treev3.Matcher {
	return &treev3.Matcher{
		MatcherType: &treev3.Matcher_MatcherTree_{MatcherTree: &treev3.Matcher_MatcherTree{
			Input: &corexdsv3.TypedExtensionConfig{Name: "input", TypedConfig: packed(input)},
			TreeType: &treev3.Matcher_MatcherTree_ExactMatchMap{
				ExactMatchMap: &treev3.Matcher_MatcherTree_MatchMap{Map: by},
			},
		}},
		OnNoMatch: otherwise,
	}
}

// readAttempts reads what attemptChain wrote.
func readAttempts(config *routematcherv3.MatcherClusterSpecifier) (*attemptMatcher, error) {
	m := new(attemptMatcher)
	top := config.GetClusterMatcher()
	later := map[string]*treev3.Matcher_OnMatch{}
	if nested := top.GetOnNoMatch().GetMatcher(); nested != nil {
		top, later = nested, top.GetMatcherTree().GetExactMatchMap().GetMap()
	}
	for i := 0; top != nil; i++ {
		otherwise, err := actionCluster(top.GetOnNoMatch())
		if err != nil {
			return nil, err
		}
		m.byDefault = append(m.byDefault, otherwise)
		m.clusters = append(m.clusters, slices.Sorted(maps.Keys(top.GetMatcherTree().GetExactMatchMap().GetMap())))
		top = later[strconv.Itoa(i+1)].GetMatcher()
	}
	return m, nil
}

// actionCluster is the cluster that a match leads to.
func actionCluster(m *treev3.Matcher_OnMatch) (string, error) {
	action := new(routematcherv3.ClusterAction)
	config := m.GetAction().GetTypedConfig()
	if !config.MessageIs(action) {
		return "", fmt.Errorf("a match leads to no cluster: %v", m)
	}
	if err := config.UnmarshalTo(action); err != nil {
		return "", fmt.Errorf("where a match leads: %w", err)
	}
	return action.GetCluster(), nil
}

// attemptsOf returns what a route's matcher consists of, nil if it has none.
func attemptsOf(config *anypb.Any) (*attemptMatcher, error) {
	specifier := new(routematcherv3.MatcherClusterSpecifier)
	if !config.MessageIs(specifier) {
		return nil, nil
	}
	if err := config.UnmarshalTo(specifier); err != nil {
		return nil, err
	}
	return readAttempts(specifier)
}

// add lets m choose what from can, too, by name.
func (m *attemptMatcher) add(from *attemptMatcher) {
	for i := range m.clusters {
		if i < len(from.clusters) {
			all := append(slices.Clone(m.clusters[i]), from.clusters[i]...)
			slices.Sort(all)
			m.clusters[i] = slices.Compact(all)
		}
	}
}

// matched lists the clusters that a matcher can lead to; ok is false where it has
// parts that are not known here.
func matched(m *treev3.Matcher) (clusters []string, ok bool) {
	follow := func(on *treev3.Matcher_OnMatch) bool {
		if nested := on.GetMatcher(); nested != nil {
			more, ok := matched(nested)
			clusters = append(clusters, more...)
			return ok
		}
		c, err := actionCluster(on)
		clusters = append(clusters, c)
		return err == nil
	}
	by := m.GetMatcherTree().GetExactMatchMap().GetMap()
	if by == nil || !follow(m.GetOnNoMatch()) {
		return nil, false
	}
	for _, key := range slices.Sorted(maps.Keys(by)) {
		if !follow(by[key]) {
			return nil, false
		}
	}
	return clusters, true
}

// attemptGroups lets exhaustedScript read a chain by attempt.
const attemptGroups = `local function groups(route)
  local all = {}
  for i = 1, 9 do -- envoy.MaxChain
    local name = route[tostring(i)]
    if not name then break end
    local model = i == 1 and route["` + envoy.KeyFirstModel + `"] or ""
    all[i] = {name = model ~= "" and model or name, clusters = {{cluster_name = name}}}
  end
  return all
end
`
