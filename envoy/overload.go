package envoy

import "cmp"

// overloadManager bounds Envoy's memory and connections. Requests are refused, and
// connections are not: a client reads an answer sooner than it gives up waiting.
func overloadManager(c BootstrapConfig) object {
	const monitors = "type.googleapis.com/envoy.extensions.resource_monitors."
	const heap = "envoy.resource_monitors.fixed_heap"
	when := func(action string, share float64) object {
		return object{"name": "envoy.overload_actions." + action, "triggers": []any{
			object{"name": heap, "threshold": object{"value": share}},
		}}
	}
	return object{
		"refresh_interval": "0.25s",
		"resource_monitors": []any{
			object{"name": heap, "typed_config": object{
				"@type":               monitors + "fixed_heap.v3.FixedHeapConfig",
				"max_heap_size_bytes": cmp.Or(c.MaxHeapBytes, DefaultMaxHeapBytes),
			}},
			object{"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": object{
				"@type":                             monitors + "downstream_connections.v3.DownstreamConnectionsConfig",
				"max_active_downstream_connections": cmp.Or(c.MaxConnections, DefaultMaxConnections),
			}},
		},
		"actions": []any{
			when("shrink_heap", 0.9),
			when("stop_accepting_requests", 0.95),
		},
	}
}
