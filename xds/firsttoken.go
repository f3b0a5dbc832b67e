package xds

import (
	"strconv"
	"time"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"wye/envoy"
)

// firstTokenSlack is how much later than Wye itself Envoy gives up waiting for
// its word.
const firstTokenSlack = 2 * time.Second

// firstTokenFilter has Wye watch how a response begins. The router decides on a
// retry by the headers that leave a cluster's filters, so that holding them back
// until the first token, or turning them into an error, is all there is to do.
// In this mode Envoy sends the body while the headers wait, keeps what it sent,
// and passes it on untouched when Wye ends the stream. It must come after
// noteFilter, which is then shown the status that Wye gave. A Wye that is gone or
// slow only means that nobody watches.
func firstTokenFilter(timeout time.Duration) *hcmv3.HttpFilter {
	return httpFilter(envoy.FirstTokenFilter, &extprocfilterv3.ExternalProcessor{
		GrpcService: &corev3.GrpcService{
			TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
				EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: envoy.ExtProcCluster, SkipEnvoyHeaders: true},
			},
			InitialMetadata: []*corev3.HeaderValue{
				{Key: envoy.MetadataFirstToken, Value: strconv.FormatInt(timeout.Milliseconds(), 10)},
			},
		},
		FailureModeAllow: true,
		MessageTimeout:   durationpb.New(timeout + firstTokenSlack),
		ProcessingMode: &extprocfilterv3.ProcessingMode{
			RequestHeaderMode:   extprocfilterv3.ProcessingMode_SKIP,
			RequestBodyMode:     extprocfilterv3.ProcessingMode_NONE,
			RequestTrailerMode:  extprocfilterv3.ProcessingMode_SKIP,
			ResponseHeaderMode:  extprocfilterv3.ProcessingMode_SEND,
			ResponseBodyMode:    extprocfilterv3.ProcessingMode_STREAMED,
			ResponseTrailerMode: extprocfilterv3.ProcessingMode_SEND,
		},
		SendBodyWithoutWaitingForHeaderResponse: true,
		StatPrefix:                              envoy.StatPrefix + "_first_token",
		ForwardRules: &extprocfilterv3.HeaderForwardingRules{
			AllowedHeaders: exactly(":status", "content-type", "content-encoding"),
		},
		MutationRules: &mutationv3.HeaderMutationRules{
			DisallowAll:     wrapperspb.Bool(true),
			AllowExpression: &matcherv3.RegexMatcher{Regex: ":status"},
		},
	})
}
