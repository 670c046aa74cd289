package alipaycaddy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// ernie is Baidu's ERNIE 4.0 on Qianfan: the access token is in the query, the model in the path, the text of the system
// beside the messages, which begin and end with a user's; failures come under status 200.
// https://cloud.baidu.com/doc/WENXINWORKSHOP/s/clntwmv7t (ERNIE-4.0-8K), .../s/Ilkkrb0i5 (access_token), .../s/tlmyncueh (error codes).
// As strict as the vendor's SDK and the server of its tests, https://github.com/baidubce/bce-qianfan-sdk at 6cacf60:
// go/qianfan/chat_completion.go (types and ranges), go/qianfan/base_model.go (answers, and what is retried),
// python/qianfan/consts.py (codes), python/qianfan/resources/llm/chat_completion.py (parameters of ERNIE-4.0-8K),
// python/qianfan/tests/utils/mock_server.py (messages in turns, tokens that have expired).
func ernie() *published {
	tokens := 0
	token := func() string { return fmt.Sprintf("24.published-access-token.%d", tokens) }
	return &published{
		serve: func(w http.ResponseWriter, r *http.Request, body []byte) {
			w.Header().Set("Content-Type", "application/json")
			q := r.URL.Query()
			if r.URL.Path == "/oauth/2.0/token" {
				if r.Method != http.MethodPost || len(q) != 3 || q.Get("grant_type") != "client_credentials" || q.Get("client_id") != "ak-1" || q.Get("client_secret") != publishedKey {
					w.WriteHeader(http.StatusUnauthorized)
					io.WriteString(w, `{"error_description":"unknown client id","error":"invalid_client"}`)
					return
				}
				tokens++
				io.WriteString(w, `{"refresh_token":"25.x","expires_in":2592000,"session_key":"9m","access_token":"`+token()+`","scope":"public","session_secret":"9"}`)
				return
			}
			fail := func(code int, message string) {
				fmt.Fprintf(w, `{"error_code":%d,"error_msg":%q,"id":"as-1"}`, code, message)
			}
			if r.URL.Path != "/rpc/2.0/ai_custom/v1/wenxinworkshop/chat/completions_pro" || len(q) != 1 || q.Get("access_token") != token() || r.Header.Get("Authorization") != "" {
				fail(110, "Access token invalid or no longer valid")
				return
			}
			o, err := strict(body, 1, "messages", "temperature", "top_p", "penalty_score", "stream", "system", "stop", "max_output_tokens", "user_id", "functions", "tool_choice",
				"disable_search", "enable_citation", "response_format", "enable_trace", "enable_system_memory", "system_memory_id")
			var said string
			if err == nil {
				said, err = turns(o["messages"], "role", "content", "user", "assistant", "function")
			}
			if err == nil {
				err = fits(o, map[string]func(json.RawMessage) bool{
					"messages": inTurns("role", "user", "assistant"), "temperature": above(0, 1), "top_p": within(0, 1), "penalty_score": within(1, 2), "stop": someTexts,
					"max_output_tokens": within(2, 2048), "user_id": aText, "system": aText, "response_format": aText, "stream": aBool,
				})
			}
			if err == nil && string(o["system"]) != `"Be brief.\n\nAnd kind."` {
				err = fmt.Errorf("system %s", o["system"])
			}
			switch {
			case err != nil:
				fail(336003, err.Error())
				return
			case said == "expired" && tokens == 1:
				fail(111, "Access token expired")
				return
			case said == "busy":
				fail(336100, "the service is busy")
				return
			case said == "limit":
				fail(18, "Open api qps request limit reached")
				return
			}
			clear := said == "bad"
			const usage = `"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}`
			if string(o["stream"]) != "true" {
				fmt.Fprintf(w, `{"id":"as-1","object":"chat.completion","created":1,"result":%s,"is_truncated":%t,"need_clear_history":%t,"finish_reason":"normal",%s}`, quoted(publishedText), said == "long", clear, usage)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			for i, piece := range publishedPieces {
				end := i == len(publishedPieces)-1
				fmt.Fprintf(w, "data: {\"id\":\"as-1\",\"object\":\"chat.completion\",\"created\":1,\"sentence_id\":%d,\"is_end\":%t,\"is_truncated\":%t,\"result\":%s,\"need_clear_history\":%t,\"finish_reason\":\"normal\",%s}\n\n",
					i, end, end && said == "long", quoted(piece), end && clear, usage)
				if i == 1 && said == "cut" {
					return // a clean end, with no event that says is_end
				}
			}
		},
		contract: `
	profile own
	path chat /rpc/2.0/ai_custom/v1/wenxinworkshop/chat/completions_pro
	token ${vendor}/oauth/2.0/token {env.TEST_PUBLISHED_KEY} {
		client_id ak-1
		auth query
		query access_token
	}
	on 110 refresh_token
	on 111 refresh_token
	on 336100 retry
	on 18 throttle
	request {
		member max_completion_tokens max_output_tokens
		member user user_id
		system system
		keep messages temperature top_p stop stream
		list stop
	}
	answer {
		code error_code
		message error_msg
		request_id id
		content result
		finish need_clear_history true=content_filter
		finish is_truncated true=length
		finish finish_reason normal=stop
		usage usage.prompt_tokens usage.completion_tokens usage.total_tokens
		stream {
			last is_end true
		}
	}`,
		unsupported: "seed",
		codes:       [2]string{"336100", "18"},
		finish:      map[string]string{"bad": "content_filter", "long": "length", "expired": "stop"},
		wrong: map[string][2]string{
			"where the text stands":       {"content result", "content results"},
			"the place of the token":      {"query access_token", "header X-Access-Token"},
			"the client at the endpoint":  {"client_id ak-1", "client_id ak-2"},
			"the place of the system":     {"system system", "system prompt"},
			"a parameter that is unknown": {"keep messages", "keep seed messages"},
			"the end of a stream":         {"last is_end true", "last is_end 1"},
			"a list that is a text":       {"list stop\n", ""},
			"the name of a parameter":     {"max_completion_tokens max_output_tokens", "max_completion_tokens max_tokens"},
			"the words for the end":       {"normal=stop", "normal=length"},
		},
	}
}

// qwen is Alibaba's DashScope in its own form: parameters are apart from the input, a stream is asked for by a field of the
// header, and each of its events repeats the text so far, unless incremental_output says otherwise.
// https://help.aliyun.com/zh/model-studio/qwen-api-via-dashscope, https://help.aliyun.com/zh/model-studio/error-code.
// As strict as the vendor's SDK, https://github.com/dashscope/dashscope-sdk-python at c0d7a0b: dashscope/aigc/generation.py
// (parameters and ranges), dashscope/api_entities/http_request.py (header), dashscope/common/utils.py: of a call that asks for
// a stream, a failure comes as an event under the failure's own status.
func qwen() *published {
	return &published{
		serve: func(w http.ResponseWriter, r *http.Request, body []byte) {
			w.Header().Set("Content-Type", "application/json")
			stream := r.Header.Get("X-DashScope-SSE") == "enable"
			fail := func(status int, code, message string) {
				if stream {
					w.Header().Set("Content-Type", "text/event-stream;charset=UTF-8")
					w.WriteHeader(status)
					fmt.Fprintf(w, "id:1\nevent:error\n:HTTP_STATUS/%d\ndata:{\"code\":%q,\"message\":%q,\"request_id\":\"r-1\"}\n\n", status, code, message)
					return
				}
				w.WriteHeader(status)
				fmt.Fprintf(w, `{"code":%q,"message":%q,"request_id":"r-1"}`, code, message)
			}
			if r.Header.Get("Authorization") != "Bearer "+publishedKey {
				fail(401, "InvalidApiKey", "Invalid API-key provided.")
				return
			}
			o, err := strict(body, 2, "model", "input", "parameters")
			var input, parameters map[string]json.RawMessage
			var said string
			if err == nil {
				input, err = strict(o["input"], 1, "messages")
			}
			if err == nil {
				parameters, err = strict(o["parameters"], 0, "result_format", "temperature", "top_p", "top_k", "seed", "max_tokens", "stop", "tools", "tool_choice", "incremental_output",
					"repetition_penalty", "presence_penalty", "enable_search", "enable_thinking", "thinking_budget", "n", "logprobs", "top_logprobs", "search_options", "parallel_tool_calls", "response_format")
			}
			if err == nil {
				err = fits(parameters, map[string]func(json.RawMessage) bool{
					"temperature": func(v json.RawMessage) bool { return within(0, 2)(v) && string(v) != "2" }, "top_p": above(0, 1), "presence_penalty": within(-2, 2),
					"n": within(1, 4), "max_tokens": within(1, 1e6), "seed": within(0, 1<<31-1), "result_format": oneOf("text", "message"), "incremental_output": aBool,
					"stop": func(v json.RawMessage) bool { return aText(v) || someTexts(v) },
				})
			}
			if err == nil {
				said, err = turns(input["messages"], "role", "content", "system", "user", "assistant", "tool")
			}
			switch {
			case err != nil || string(o["model"]) != `"qwen-plus"` || r.URL.Path != "/api/v1/services/aigc/text-generation/generation":
				fail(400, "InvalidParameter", fmt.Sprint("wrong: ", err))
				return
			case said == "busy":
				fail(503, "ModelServingError", "Too many requests in route. Please try again later.")
				return
			case said == "limit":
				fail(429, "Throttling.RateQuota", "Requests rate limit exceeded, please try again later.")
				return
			}
			finish := "stop"
			if said == "long" {
				finish = "length"
			}
			output := func(text, finish string) string {
				if string(parameters["result_format"]) != `"message"` {
					return fmt.Sprintf(`{"text":%s,"finish_reason":%q}`, quoted(text), finish)
				}
				return fmt.Sprintf(`{"choices":[{"finish_reason":%q,"message":{"role":"assistant","content":%s}}]}`, finish, quoted(text))
			}
			const usage = `"usage":{"total_tokens":12,"output_tokens":5,"input_tokens":7},"request_id":"r-1"`
			if !stream {
				fmt.Fprintf(w, `{"output":%s,%s}`, output(publishedText, finish), usage)
				return
			}
			w.Header().Set("Content-Type", "text/event-stream;charset=UTF-8")
			text := ""
			for i, piece := range publishedPieces {
				if text += piece; string(parameters["incremental_output"]) == "true" {
					text = piece
				}
				fmt.Fprintf(w, "id:%d\nevent:result\n:HTTP_STATUS/200\ndata:{\"output\":%s,%s}\n\n", i+1, output(text, "null"), usage)
				if i == 1 && said == "cut" {
					return
				}
				if i == 1 && said == "breaks" {
					fmt.Fprintf(w, "id:3\nevent:error\n:HTTP_STATUS/500\ndata:{\"code\":\"InternalError.Algo\",\"message\":\"inference internal error\",\"request_id\":\"r-1\"}\n\n")
					return
				}
			}
			if string(parameters["incremental_output"]) == "true" {
				text = ""
			}
			fmt.Fprintf(w, "id:9\nevent:result\n:HTTP_STATUS/200\ndata:{\"output\":%s,%s}\n\n", output(text, finish), usage)
		},
		contract: `
	profile own
	api_key {env.TEST_PUBLISHED_KEY}
	path chat /api/v1/services/aigc/text-generation/generation
	model qwen-plus
	on ModelServingError retry
	request {
		inside parameters
		member model model
		member messages input.messages
		member max_completion_tokens parameters.max_tokens
		field parameters.result_format message
		drop stream stream_options user
		stream_header X-DashScope-SSE enable
	}
	answer {
		code code
		message message
		request_id request_id
		content output.text output.choices.0.message.content
		reasoning output.choices.0.message.reasoning_content
		tool_calls output.choices.0.message.tool_calls
		finish output.finish_reason
		finish output.choices.0.finish_reason
		usage usage.input_tokens usage.output_tokens usage.total_tokens
		text whole
	}`,
		unsupported: "user",
		codes:       [2]string{"ModelServingError", "Throttling.RateQuota"},
		finish:      map[string]string{"long": "length"},
		wrong: map[string][2]string{
			"where the text stands":      {"content output.text output.choices.0.message.content", "content output.choices.1.message.content"},
			"what an event has":          {"text whole", "text delta"},
			"what an event has, by half": {"field parameters.result_format message", "field parameters.result_format message\nvalue parameters.incremental_output true"},
			"what the call stands in":    {"inside parameters", "inside input"},
			"where messages stand":       {"messages input.messages", "messages messages"},
			"a parameter that is not":    {"drop stream stream_options user", "drop stream"},
			"where it ends":              {"finish output.choices.0.finish_reason", "finish output.choices.0.finished"},
		},
	}
}
