package failure_test

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-alipayai/gateway/alipayai/failure"
	"github.com/caddy-alipayai/gateway/alipayai/wire"
)

// What a vendor says of the gateway's account does not reach a client, and all else of its words does.
func TestAccountsInMessages(t *testing.T) {
	const of = "[account]"
	for name, c := range map[string]struct{ message, want string }{
		// https://github.com/openai/openai-python/issues/1211 and such like.
		"openai":           {"Rate limit reached for gpt-4o in organization org-Ab3dEfGh1jKlMn0p on tokens per min (TPM): Limit 30000, Used 29000.", "Rate limit reached for gpt-4o in organization " + of + " on tokens per min (TPM): Limit 30000, Used 29000."},
		"openai's project": {"Project `proj_9sKd82hQwe` does not have access to model `gpt-4o-2024-08-06`", "Project `" + of + "` does not have access to model `gpt-4o-2024-08-06`"},
		"xai":              {"The model grok-4-0709 does not exist or your team 1f0e2d3c-4b5a-6978-8695-a4b3c2d1e0f9 does not have access to it.", "The model grok-4-0709 does not exist or your team " + of + " does not have access to it."},
		// https://github.com/MoonshotAI/Kimi-K2/issues/5.
		"moonshot": {"Your account org-1a2b3c4d5e6f<ak-9f8e7d6c5b4a> request reached organization max RPM: 3, please try again after 1 seconds", "Your account " + of + "<" + of + "> request reached organization max RPM: 3, please try again after 1 seconds"},
		// https://github.com/volcengine/MineContext/issues/328.
		"ark":                         {"Your account [2100334555] has reached the set inference limit for the [doubao-seed-1-6-flash] model", "Your account [" + of + "] has reached the set inference limit for the [doubao-seed-1-6-flash] model"},
		"google":                      {"Generative Language API has not been used in project 123456789012 before or it is disabled.", "Generative Language API has not been used in project " + of + " before or it is disabled."},
		"google, path":                {"Publisher Model `projects/my-proj-4711/locations/us-central1/publishers/google/models/gemini-9` was not found", "Publisher Model `projects/" + of + "/locations/us-central1/publishers/google/models/gemini-9` was not found"},
		"google, a project of a word": {"Publisher Model `projects/acme-prod/locations/us-central1/publishers/google/models/gemini-9` was not found", "Publisher Model `projects/" + of + "/locations/us-central1/publishers/google/models/gemini-9` was not found"},
		"google, word":                {"Quota exceeded for consumer 'project_number:123456789012'.", "Quota exceeded for consumer 'project_number:" + of + "'."},
		// https://github.com/tashfeenahmed/freellmapi/issues/634.
		"nvidia": {"Function '23d4f03a-b8a6-4adb-a183-7daa083a09cc': Not found for account 'BDnmPUMI2eN_Liw2_IXf'", "Function '23d4f03a-b8a6-4adb-a183-7daa083a09cc': Not found for account '" + of + "'"},
		"amazon": {"User: arn:aws:iam::123456789012:user/bot is not authorized to perform: bedrock:InvokeModel", "User: " + of + " is not authorized to perform: bedrock:InvokeModel"},

		"no account":  {"Invalid value for 'messages[3].content': expected a string", "Invalid value for 'messages[3].content': expected a string"},
		"words alone": {"Your organization must be verified; your team needs credits, the project settings and account details say which", "Your organization must be verified; your team needs credits, the project settings and account details say which"},
		"a member":    {"Unknown parameter: 'user_location_v'. org_level settings apply", "Unknown parameter: 'user_location_v'. org_level settings apply"},
		"a model":     {"The model `gpt-4o-mini-2024-07-18` does not support 'tools'", "The model `gpt-4o-mini-2024-07-18` does not support 'tools'"},
		"a request":   {"Internal error, request id req_011CbHNeYKgu4eucRaFLvvNg", "Internal error, request id req_011CbHNeYKgu4eucRaFLvvNg"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, status := range []int{400, 404, 429, 500} {
				f := failure.OfUpstream(status, nil, &wire.Failure{Code: "x", Message: c.message}, nil, false, time.Unix(0, 0))
				if f.Message != c.want && !f.Class.Policy().Credentials && !strings.Contains(f.Message, "credentials") {
					t.Errorf("%d: a client sees\n%s, want\n%s", status, f.Message, c.want)
				}
			}
		})
	}
}
