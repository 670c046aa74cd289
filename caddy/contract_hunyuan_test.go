package alipaycaddy

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hunyuan is Tencent Cloud's API 3.0: names in Pascal case, requests signed by a key that is derived for the day, failures
// under status 200 in Response.Error, and streams whose events have no Response around them.
// https://cloud.tencent.com/document/api/1729/105701 (ChatCompletions), /1729/101842 (common parameters), /1729/101843 (signature v3), /1729/101841 (results).
// As strict as the vendor's SDK says, https://github.com/TencentCloud/tencentcloud-sdk-go at 032ddf5:
// tencentcloud/hunyuan/v20230901/models.go (ChatCompletionsRequestParams, Message, Choice, ErrorMsg), and at 17614f6
// tencentcloud/common/http/response.go (failures, streams, X-TC-RequestId).
func hunyuan() *published {
	sum := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		io.WriteString(h, text)
		return h.Sum(nil)
	}
	hash := func(text string) string { d := sha256.Sum256([]byte(text)); return hex.EncodeToString(d[:]) }
	verify := func(r *http.Request, body []byte) error {
		seconds, err := strconv.ParseInt(r.Header.Get("X-TC-Timestamp"), 10, 64)
		if at := time.Unix(seconds, 0); err != nil || time.Since(at).Abs() > 5*time.Minute {
			return errors.New("AuthFailure.SignatureExpire")
		}
		date := time.Unix(seconds, 0).UTC().Format(time.DateOnly)
		canonical := r.Method + "\n/\n" + r.URL.RawQuery + "\ncontent-type:" + r.Header.Get("Content-Type") + "\nhost:hunyuan.tencentcloudapi.com\nx-tc-action:" +
			strings.ToLower(r.Header.Get("X-TC-Action")) + "\n\ncontent-type;host;x-tc-action\n" + hash(string(body))
		toSign := "TC3-HMAC-SHA256\n" + r.Header.Get("X-TC-Timestamp") + "\n" + date + "/hunyuan/tc3_request\n" + hash(canonical)
		signing := sum(sum(sum([]byte("TC3"+publishedKey), date), "hunyuan"), "tc3_request")
		want := "TC3-HMAC-SHA256 Credential=AKIDpublished/" + date + "/hunyuan/tc3_request, SignedHeaders=content-type;host;x-tc-action, Signature=" + hex.EncodeToString(sum(signing, toSign))
		if r.Header.Get("Authorization") != want {
			return errors.New("AuthFailure.SignatureFailure")
		}
		return nil
	}
	return &published{
		serve: func(w http.ResponseWriter, r *http.Request, body []byte) {
			w.Header().Set("Content-Type", "application/json")
			fail := func(code, message string) {
				fmt.Fprintf(w, `{"Response":{"Error":{"Code":%q,"Message":%q},"RequestId":"r-1"}}`, code, message)
			}
			if err := verify(r, body); err != nil {
				fail(err.Error(), "the signature is wrong")
				return
			}
			o, err := strict(body, 2, "Model", "Messages", "Stream", "StreamModeration", "TopP", "Temperature", "EnableEnhancement", "Tools", "ToolChoice", "CustomTool", "SearchInfo", "Citation",
				"EnableSpeedSearch", "EnableMultimedia", "EnableDeepSearch", "Seed", "ForceSearchEnhancement", "Stop", "EnableRecommendedQuestions", "EnableDeepRead", "WebSearchOptions", "TopicChoice")
			var said string
			if err == nil {
				said, err = turns(o["Messages"], "Role", "Content", "system", "user", "assistant", "tool")
			}
			if err == nil {
				err = fits(o, map[string]func(json.RawMessage) bool{
					"Messages": inTurns("Role", "user", "assistant"), "Model": aText, "Stream": aBool, "TopP": within(0, 1), "Temperature": within(0, 2), "Seed": within(1, 10000),
					"Stop": someTexts, "ToolChoice": oneOf("none", "auto", "custom"),
				})
			}
			switch {
			case r.Header.Get("X-TC-Action") != "ChatCompletions" || r.Header.Get("X-TC-Version") != "2023-09-01":
				fail("InvalidAction", "no such action")
				return
			case err != nil:
				fail("InvalidParameter", err.Error())
				return
			case said == "busy":
				fail("FailedOperation.EngineServerError", "the engine failed")
				return
			case said == "limit":
				fail("RequestLimitExceeded", "too many requests")
				return
			}
			finish := "stop"
			if said == "bad" {
				finish = "sensitive"
			}
			const rest = `"Created":1,"Id":"c-1","Note":"AI","Usage":{"PromptTokens":7,"CompletionTokens":5,"TotalTokens":12}`
			if string(o["Stream"]) != "true" {
				fmt.Fprintf(w, `{"Response":{"RequestId":"r-1",%s,"Choices":[{"FinishReason":%q,"Message":{"Role":"assistant","Content":%s}}]}}`, rest, finish, quoted(publishedText))
				return
			}
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("X-TC-RequestId", "r-1")
			for i, piece := range append(slices.Clone(publishedPieces), "") {
				end := ""
				if i == len(publishedPieces) {
					end = finish
				}
				fmt.Fprintf(w, "data: {%s,\"Choices\":[{\"Index\":0,\"FinishReason\":%q,\"Delta\":{\"Role\":\"assistant\",\"Content\":%s}}]}\n\n", rest, end, quoted(piece))
				if i == 1 && said == "cut" {
					return
				}
				if i == 1 && said == "breaks" {
					fmt.Fprintf(w, "data: {%s,\"ErrorMsg\":{\"Msg\":\"the engine failed\",\"Code\":4001}}\n\n", rest)
					return
				}
			}
		},
		contract: `
	profile own
	client_id AKIDpublished
	key 1 {env.TEST_PUBLISHED_KEY}
	path chat /
	model hunyuan-lite
	header X-TC-Action ChatCompletions
	header X-TC-Version 2023-09-01
	on FailedOperation.EngineServerError retry
	on RequestLimitExceeded throttle
	signature {
		content "TC3-HMAC-SHA256\n{time_s}\n{time_date}/hunyuan/tc3_request\n{canonical_sha256}"
		canonical "{method}\n{path}\n{query}\ncontent-type:{header.Content-Type}\nhost:hunyuan.tencentcloudapi.com\nx-tc-action:chatcompletions\n\ncontent-type;host;x-tc-action\n{body_sha256}"
		derive TC3 {time_date} hunyuan tc3_request
		header Authorization "TC3-HMAC-SHA256 Credential={client_id}/{time_date}/hunyuan/tc3_request, SignedHeaders=content-type;host;x-tc-action, Signature={hex}"
		header X-TC-Timestamp {time_s}
	}
	request {
		names pascal
		keep model messages stream top_p temperature seed stop
		list stop
	}
	answer {
		code Response.Error.Code ErrorMsg.Code
		message Response.Error.Message ErrorMsg.Msg
		request_id Response.RequestId
		content Response.Choices.0.Message.Content Choices.0.Delta.Content
		finish Response.Choices.0.FinishReason sensitive=content_filter
		finish Choices.0.FinishReason sensitive=content_filter
		usage Response.Usage.PromptTokens Response.Usage.CompletionTokens
		usage Usage.PromptTokens Usage.CompletionTokens Usage.TotalTokens
	}`,
		unsupported: "max_completion_tokens, user",
		codes:       [2]string{"FailedOperation.EngineServerError", "RequestLimitExceeded"},
		finish:      map[string]string{"bad": "content_filter"},
		wrong: map[string][2]string{
			"what stands before the secret": {"derive TC3", `derive ""`},
			"a step of the key":             {"hunyuan tc3_request\n", "hunyuan tc4_request\n"},
			"the form of the day":           {"derive TC3 {time_date}", "derive TC3 {time_day}"},
			"the canonical request":         {"{path}\\n{query}", "{path}{query}\\n"},
			"how names are written":         {"names pascal", "names pascal\nmember messages messages"},
			"a parameter that is unknown":   {"keep model", "keep user model"},
			"a list that is a text":         {"list stop\n", ""},
			"where the text stands":         {"Choices.0.Delta.Content", "Choices.Delta.Content"},
			"the words for the end":         {"Choices.0.FinishReason sensitive", "Choices.1.FinishReason sensitive"},
		},
	}
}
