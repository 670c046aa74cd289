package failure

import "net/http"

// number is what GLM means by a number of four digits in place of a code.
type number struct {
	kind
	// under is the HTTP status that it comes with.
	under int
}

// numbers are those of GLM (Zhipu, Z.AI), with their statuses: https://docs.bigmodel.cn/cn/faq/api-code and
// https://docs.z.ai/api-reference/api-code. Other vendors have the same digits for something else, under another status: 1001 is
// Hunyuan's of a request (https://github.com/FoundationAgents/OpenManus/issues/894).
var numbers = map[string]number{
	"1000": {badKey, http.StatusUnauthorized}, "1001": {badKey, http.StatusUnauthorized}, "1002": {badKey, http.StatusUnauthorized},
	"1003": {badKey, http.StatusUnauthorized}, "1004": {badKey, http.StatusUnauthorized},
	"1005": {badKey, http.StatusUnauthorized}, // it asks for a second factor

	"1110": {exhausted, http.StatusTooManyRequests}, "1111": {exhausted, http.StatusTooManyRequests}, "1112": {exhausted, http.StatusTooManyRequests},
	"1113": {exhausted, http.StatusTooManyRequests}, "1121": {exhausted, http.StatusTooManyRequests},

	"1210": {badRequest, http.StatusBadRequest}, "1212": {badRequest, http.StatusBadRequest}, "1213": {badRequest, http.StatusBadRequest},
	"1214": {badRequest, http.StatusBadRequest}, "1215": {badRequest, http.StatusBadRequest}, "1261": {badRequest, http.StatusBadRequest},
	"1211": {notFound, http.StatusBadRequest},
	"1200": {broken, http.StatusInternalServerError}, "1230": {broken, http.StatusInternalServerError}, "1234": {broken, http.StatusInternalServerError},

	"1301": {censored, http.StatusBadRequest},
	"1302": {throttled, http.StatusTooManyRequests}, "1303": {throttled, http.StatusTooManyRequests}, "1305": {throttled, http.StatusTooManyRequests},
	"1304": {throttled, http.StatusTooManyRequests}, // of a day
	"1312": {throttled, http.StatusTooManyRequests},

	// Of plans: used up, ended, without the model, for other uses, and slowed down until a person asks for more.
	"1308": {exhausted, http.StatusTooManyRequests}, "1310": {exhausted, http.StatusTooManyRequests},
	"1309": {exhausted, http.StatusTooManyRequests}, "1314": {exhausted, http.StatusTooManyRequests},
	"1311": {exhausted, http.StatusTooManyRequests}, "1313": {exhausted, http.StatusTooManyRequests},
	"1315": {badKey, http.StatusTooManyRequests},
	"1316": {exhausted, http.StatusTooManyRequests}, "1317": {exhausted, http.StatusTooManyRequests}, "1318": {exhausted, http.StatusTooManyRequests},
	"1319": {exhausted, http.StatusTooManyRequests}, "1320": {exhausted, http.StatusTooManyRequests}, "1321": {exhausted, http.StatusTooManyRequests},
}

// isOthers reports whether a word is a number of GLM's that comes under another status than its own, or beside a type of another
// one: then it is somebody else's.
func isOthers(word string, status int) bool {
	n, ok := numbers[word]
	return ok && status >= http.StatusBadRequest && status != n.under
}
