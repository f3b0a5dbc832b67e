package e2e_test

import (
	"testing"

	"wye/e2e/internal/rig"
)

// shared are the tests that leave a stand as they found it.
var shared = map[string]func(*testing.T, *rig.Stack){
	"Modes":                    testModes,
	"ModeOverride":             testModeOverride,
	"RoutingConfig":            testRoutingConfig,
	"NamedModels":              testNamedModels,
	"AzurePaths":               testAzurePaths,
	"Trace":                    testTrace,
	"Conversation":             testConversation,
	"RequestLimit":             testRequestLimit,
	"TokenLimit":               testTokenLimit,
	"CallerLimit":              testCallerLimit,
	"Budget":                   testBudget,
	"CallerTokens":             testCallerTokens,
	"SessionHeaders":           testSessionHeaders,
	"ConversationFallback":     testConversationAfterFallback,
	"KeyStaysSecret":           testKeyStaysSecret,
	"SameDecisionEveryTime":    testSameDecision,
	"Zone":                     testZone,
	"ResponseHeaders":          testResponseHeaders,
	"HeadersStripped":          testHeadersStripped,
	"ResponseHeadersNotForged": testResponseHeadersNotForged,
	"BodyUntouched":            testBodyUntouched,
	"BodyForReasoningModel":    testBodyForReasoningModel,
	"Credentials":              testCredentials,
	"StreamUnbuffered":         testStreamUnbuffered,
	"StreamCut":                testStreamCut,
	"Failover":                 testFailover,
	"FailoverRestores":         testFailoverRestores,
	"FailoverRefused":          testFailoverRefused,
	"FailoverExhausted":        testFailoverExhausted,
	"FailoverTimeout":          testFailoverTimeout,
	"FailoverLargeBody":        testFailoverLargeBody,
	"ClientErrorsNotRetried":   testClientErrorsNotRetried,
	"Errors":                   testErrors,
	"Paths":                    testPaths,
	"UpstreamPath":             testUpstreamPath,
	"GarbageJSON":              testGarbageJSON,
	"HugeBody":                 testHugeBody,
	"SlowBody":                 testSlowBody,
	"ClientGone":               testClientGone,
	"Chunked":                  testChunked,
	"Compressed":               testCompressed,
	"ContentTypeOfCurl":        testContentTypeOfCurl,
	"ExpectContinue":           testExpectContinue,
	"HTTP2":                    testHTTP2,
	"ModelList":                testModelList,
	"Messages":                 testMessages,
	"Responses":                testResponses,
	"Translated":               testTranslated,
	"Pairs":                    testPairs,
	"ConversationOfAPIs":       testConversationOfAPIs,
	"PythonSDK":                testPythonSDK,
	"LegacyAPIs":               testLegacyAPIs,
	"PythonAPIs":               testPythonAPIs,
	"GoSDK":                    testGoSDK,
}

// TestWye runs everything that leaves the stand as it found it on one stand,
// in parallel. Tests tell their requests apart by rig.ID, and break a provider
// for one request only (rig.FailHeader).
func TestWye(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	t.Run("group", func(t *testing.T) {
		for name, test := range shared {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, s)
			})
		}
	})
	s.CheckStrict(t)
}
