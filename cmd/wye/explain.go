package main

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"wye/extproc"
	"wye/internal/explain"
	"wye/policies"
	"wye/router"
	"wye/wire"
)

// maxRequestBytes bounds what explain reads; a listener's own bound is the
// policy's.
const maxRequestBytes = 256 << 20

func newExplainCommand() *cobra.Command {
	var policy, mode, deployment, record, zone, apiName string
	var session sessionFlags
	var spent float64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain [REQUEST.json|-]",
		Short: "Show how a request would be routed, and why",
		Long: `Explain takes a request as a client would send it, from a file or standard
input, and shows what the policy decides for it: every candidate with its predicted
quality and expected cost, every model left out with the reason, and the chain of
attempts. Nothing is sent anywhere.

The request may be of any API. Without --api it is taken for one by its fields:
"input" is of Responses, or of embeddings if it is a list of texts or tokens;
"prompt" that is no object is of completions; "messages" is of Messages beside
"system", "stop_sequences", "thinking" or "output_config", else of chat completions.

With --record it takes the records of a decision log instead, decides each once
more under the policy, and says whether every bit of the decision is the same. A
record without the prompt's text brings the predictor's estimates with it; what
follows from them is decided anew. It exits with 1 if a decision differs, or if no
record is of this policy.`,
		Example: `  echo '{"model":"auto","messages":[{"role":"user","content":"Hi"}]}' | wye explain
  wye explain --policy policy.yaml --mode cost --json request.json
  wye explain --policy policy.yaml --record decisions.log`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			m := router.ModeDefault
			if mode != "" {
				var ok bool
				if m, ok = router.ParseMode(mode); !ok {
					return usageError{fmt.Errorf("--mode %q is none of quality, balanced, cost", mode)}
				}
			}
			if session.cached < 0 || session.cached > 0 && session.model == "" {
				return usageError{errors.New("--cached-tokens must be 0 or more and needs --session-model")}
			}
			if spent < 0 {
				return usageError{errors.New("--budget-used must be 0 or more")}
			}
			if record != "" {
				if len(args) > 0 || mode != "" || deployment != "" || apiName != "" || asJSON {
					return usageError{errors.New("--record stands alone but for --policy and --zone")}
				}
				if record == "-" && policy == "-" {
					return usageError{errors.New("the policy and the records cannot both be standard input")}
				}
				s, err := compilePolicy(policy, cmd.InOrStdin())
				if err != nil {
					return err
				}
				return replayRecords(cmd, record, s, zone)
			}
			if zone != "" {
				return usageError{errors.New("--zone is for --record")}
			}
			path := "-"
			if len(args) > 0 {
				path = args[0]
			}
			if path == "-" && policy == "-" {
				return usageError{errors.New("the policy and the request cannot both be standard input")}
			}
			body, err := readRequest(path, cmd.InOrStdin())
			if err != nil {
				return err
			}
			s, err := compilePolicy(policy, cmd.InOrStdin())
			if err != nil {
				return err
			}
			api, err := requestAPI(apiName, body)
			if err != nil {
				return err
			}
			report, err := explainRequest(s, body, api, m, deployment, session, spent)
			if err != nil {
				return err
			}
			if asJSON {
				err = report.WriteJSON(cmd.OutOrStdout())
			} else {
				err = report.WriteTable(cmd.OutOrStdout())
			}
			if err != nil {
				return err
			}
			if report.Error != "" {
				return errors.New("the request cannot be routed")
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&policy, "policy", "p", "", "policy `file` (default: the embedded policy)")
	cmd.Flags().StringVarP(&mode, "mode", "m", "", "mode `override`, as the header x-wye-mode: quality, balanced or cost")
	cmd.Flags().StringVarP(&deployment, "deployment", "d", "", "`name` of a deployment to use in place of the request's model")
	cmd.Flags().StringVar(&apiName, "api", "", "`API` of the request: chat_completions, messages, count_tokens, responses, completions or embeddings (default: by its fields)")
	cmd.Flags().StringVar(&session.model, "session-model", "", "catalog `name` of the model that the conversation is with")
	cmd.Flags().IntVar(&session.cached, "cached-tokens", 0, "how many `tokens` of the prompt that model's provider has cached")
	cmd.Flags().Float64Var(&spent, "budget-used", 0, "`share` of the deployment's budget that is spent, such as 0.9")
	cmd.Flags().StringVar(&record, "record", "", "decision log whose decisions are made once more, or - for standard input (`file`)")
	cmd.Flags().StringVar(&zone, "zone", "", "`zone` of the wye serve that wrote the log")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// sessionFlags stand in for what a running Wye remembers of a conversation.
type sessionFlags struct {
	model  string
	cached int // tokens
}

// apply is the memory as Route takes it. A model that the policy does not know
// is more likely a slip than a policy that has since been edited.
func (f *sessionFlags) apply(s *router.Snapshot, req *router.Request) error {
	if f.model == "" {
		return nil
	}
	if !slices.ContainsFunc(s.Models, func(m router.Model) bool { return m.Name == f.model }) {
		return fmt.Errorf("--session-model: the policy uses no model %q", f.model)
	}
	req.Session = router.Session{Model: router.Key(f.model), CachedTokens: f.cached}
	return nil
}

// spend stands in for what a running Wye counts of a deployment's budget.
func spend(s *router.Snapshot, req *router.Request, used float64) error {
	d := s.Deployment(req.Deployment)
	if used == 0 || d == nil {
		return nil
	}
	if d.Budget.USDPerDay == 0 {
		return fmt.Errorf("--budget-used: deployment %s has no budget", d.Name)
	}
	req.BudgetUsed = used
	for i, share := range d.Budget.Shares() {
		if used >= share {
			req.Floor = router.Steps[i+1]
		}
	}
	return nil
}

func readRequest(path string, stdin io.Reader) ([]byte, error) {
	var body []byte
	var err error
	if path == "-" {
		body, err = io.ReadAll(io.LimitReader(stdin, maxRequestBytes))
	} else {
		body, err = readLimited(path, maxRequestBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	return body, nil
}

func compilePolicy(path string, stdin io.Reader) (*router.Snapshot, error) {
	name, content, err := readPolicy(path, stdin)
	if err != nil {
		return nil, err
	}
	p, err := policies.Parse(name, content)
	if err != nil {
		return nil, err
	}
	return p.Compile()
}

// explainRequest routes body as the ext_proc server would. The error is about
// the body; that it cannot be routed is in the report.
func explainRequest(s *router.Snapshot, body []byte, api router.API, m router.Mode, deployment string, session sessionFlags, spent float64) (*explain.Report, error) {
	var facts wire.Facts
	if problem := wire.ScanShape(extproc.ShapeOf(api), nil, body, &facts); problem != nil {
		return nil, fmt.Errorf("request: %w", problem)
	}
	var req router.Request
	extproc.RequestOf(&facts, &req)
	req.API, req.Mode = api, m
	if deployment != "" {
		req.Deployment = []byte(deployment)
	}
	if problem := extproc.Restrict(&req, s, &facts, body); problem != nil {
		return nil, fmt.Errorf("request: %w", problem)
	}
	if err := session.apply(s, &req); err != nil {
		return nil, err
	}
	if err := spend(s, &req, spent); err != nil {
		return nil, err
	}
	var d router.Decision
	routeErr := s.Route(&req, &d)
	report := explain.New(&d, &req, routeErr)
	if routeErr == nil {
		if problem := extproc.Undetermined(&req, &facts, &d); problem != nil {
			report.Error = problem.Message
		}
	}
	if d.Deployment != nil {
		for _, skill := range policies.Demand(d.Deployment.Scorer, &req) {
			report.Demand = append(report.Demand, explain.Demand{Skill: skill.Skill, Share: float64(skill.Share)})
		}
	}
	return &report, nil
}
