package extproc

import (
	"maps"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"wye/envoy"
	"wye/router"
)

// prepared is what every request of one snapshot needs and none changes. It is
// immutable.
type prepared struct {
	snapshot *router.Snapshot
	since    time.Time // when it was made, which is after the snapshot's swap
	// first and fallback have, for every backend, the priority group that
	// consists of its cluster, as a serialised values field of a ListValue.
	// named has the fallback group by its name alone: its deployment's route
	// has the rest. Reading a group out of dynamic metadata is a good part of
	// what Envoy spends on a decision, and few fallbacks are ever called.
	first, fallback, named [][]byte
	// The same for backends that translate and clients of the other API; nil for
	// other backends.
	translating, translatingFallback, translatingNamed [][]byte
	// exhausted is the group that ends every chain, and exhaustedNamed the same
	// by its name alone.
	exhausted, exhaustedNamed []byte
	// callerHeaders name callers that are limited.
	callerHeaders []string
	// clusters has, for every backend, what those groups name.
	clusters []clusters
	// maxBody is the largest body that any deployment takes, in bytes.
	maxBody int
}

// clusters are a backend's, and the model that it serves.
type clusters struct{ model, first, fallback, translating string }

// preparedCache keeps what was prepared for the snapshots in use: the latest,
// and its parts for Envoys of a zone. Streams that miss at the same time may
// prepare one more than once, which only costs time.
type preparedCache struct {
	latest atomic.Pointer[map[*router.Snapshot]*prepared]
}

// maxPrepared bounds the snapshots that are kept; those of former policies go
// when it is reached.
const maxPrepared = 16

func (c *preparedCache) of(s *router.Snapshot, defaultMaxBody int) *prepared {
	known := c.latest.Load()
	if known != nil {
		if p := (*known)[s]; p != nil {
			return p
		}
	}
	p := prepare(s, defaultMaxBody)
	all := map[*router.Snapshot]*prepared{s: p}
	if known != nil && len(*known) < maxPrepared {
		maps.Copy(all, *known)
	}
	c.latest.Store(&all)
	return p
}

func prepare(s *router.Snapshot, defaultMaxBody int) *prepared {
	p := &prepared{snapshot: s, since: time.Now(), callerHeaders: s.CallerHeaders()}
	for i := range s.Backends {
		b := &s.Backends[i]
		first, fallback := envoy.ClusterName(b.Name, b.Hash, false), envoy.ClusterName(b.Name, b.Hash, true)
		p.clusters = append(p.clusters, clusters{s.Models[b.Model].Version(), first, fallback, envoy.TranslatingClusterName(b.Name, b.Hash)})
		p.first = append(p.first, groupOf(s.Models[b.Model].Version(), first))
		p.fallback = append(p.fallback, groupOf(fallback, fallback))
		p.named = append(p.named, appendNamedGroup(nil, fallback))
		var translating, translatingFallback, translatingNamed []byte
		if b.Translate {
			cluster := envoy.TranslatingClusterName(b.Name, b.Hash)
			translating = groupOf(s.Models[b.Model].Version(), cluster)
			translatingFallback = groupOf(cluster, cluster)
			translatingNamed = appendNamedGroup(nil, cluster)
		}
		p.translating = append(p.translating, translating)
		p.translatingFallback = append(p.translatingFallback, translatingFallback)
		p.translatingNamed = append(p.translatingNamed, translatingNamed)
	}
	p.exhausted = groupOf(envoy.ExhaustedCluster, envoy.ExhaustedCluster)
	p.exhaustedNamed = appendNamedGroup(nil, envoy.ExhaustedCluster)
	for i := range s.Deployments {
		p.maxBody = max(p.maxBody, bodyLimit(&s.Deployments[i], defaultMaxBody))
	}
	return p
}

// bodyLimit is how many bytes a body of deployment d may have.
func bodyLimit(d *router.Deployment, otherwise int) int {
	if d.MaxBodyBytes > 0 {
		return d.MaxBodyBytes
	}
	return otherwise
}

// groupOf is one element of the priority_groups list, serialised: a group that
// holds the cluster alone.
func groupOf(name, cluster string) []byte {
	dst, value := open(nil, listValues)
	dst, group := open(dst, valueStruct)
	dst, clusters := openField(dst, "clusters")
	dst, v := open(dst, entryValue)
	dst, list := open(dst, valueList)
	dst, element := open(dst, listValues)
	dst, members := open(dst, valueStruct)
	dst = appendStringField(dst, "cluster_name", cluster)
	dst, weight := openField(dst, "weight")
	dst, n := open(dst, entryValue)
	dst = protowire.AppendTag(dst, valueNumber, protowire.Fixed64Type)
	dst = protowire.AppendFixed64(dst, math.Float64bits(1))
	dst = shut(shut(dst, n), weight)
	dst = shut(shut(shut(shut(shut(dst, members), element), list), v), clusters)
	dst = appendStringField(dst, "name", name)
	return shut(shut(dst, group), value)
}

// appendNamedGroup appends an element that stands for the route's own group of
// that name.
func appendNamedGroup(dst []byte, name string) []byte {
	dst, value := open(dst, listValues)
	dst, group := open(dst, valueStruct)
	return shut(shut(appendStringField(dst, "name", name), group), value)
}

// DefaultRouteLag is far more than a request takes from Envoy's listener to Wye.
const DefaultRouteLag = 10 * time.Second

// settled reports whether a request whose headers came under before is routed
// by tables that have the groups of p. Envoy routes a request by the tables that
// were in force when its headers came, and those of p were with it before p was
// in force here.
func (p *prepared) settled(before *prepared, now time.Time, lag time.Duration) bool {
	return p == before && now.Sub(p.since) >= lag
}

// appendChain appends the Struct field that NamespaceRoute consists of: the
// chain's clusters for a client of the API, of which every one but the first
// rewrites the body itself, and the one that answers when all of them have failed.
// byName leaves it to the route what the groups of those consist of.
func (p *prepared) appendChain(dst []byte, api router.API, chain []router.Step, byName bool) []byte {
	fallback, translating, exhausted := p.fallback, p.translatingFallback, p.exhausted
	if byName {
		fallback, translating, exhausted = p.named, p.translatingNamed, p.exhaustedNamed
	}
	dst, entry := openField(dst, envoy.KeyPriorityGroups)
	dst, value := open(dst, entryValue)
	dst, list := open(dst, valueList)
	for i, step := range chain {
		_, translates := p.snapshot.Backends[step.Backend].Translates(api)
		switch {
		case i == 0 && translates:
			dst = append(dst, p.translating[step.Backend]...)
		case i == 0:
			dst = append(dst, p.first[step.Backend]...)
		case translates:
			dst = append(dst, translating[step.Backend]...)
		default:
			dst = append(dst, fallback[step.Backend]...)
		}
	}
	dst = append(dst, exhausted...)
	return shut(shut(shut(dst, list), value), entry)
}

// attemptKeys are the keys of a chain by attempt.
var attemptKeys = func() (keys [envoy.MaxChain]string) {
	for i := range keys {
		keys[i] = strconv.Itoa(i + 1)
	}
	return keys
}()

// appendAttempts appends what appendChain does in the form of ChainByAttempt.
func (p *prepared) appendAttempts(dst []byte, api router.API, chain []router.Step) []byte {
	for i, step := range chain {
		c := &p.clusters[step.Backend]
		if i == 0 {
			dst = appendStringField(dst, envoy.KeyFirstModel, c.model)
		}
		name := c.fallback
		if _, translates := p.snapshot.Backends[step.Backend].Translates(api); translates {
			name = c.translating
		} else if i == 0 {
			name = c.first
		}
		dst = appendStringField(dst, attemptKeys[i], name)
	}
	return appendStringField(dst, attemptKeys[len(chain)], envoy.ExhaustedCluster)
}
