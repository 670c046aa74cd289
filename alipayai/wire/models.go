package wire

import (
	"strconv"
	"time"
)

// Model is one entry of the answer to GET /v1/models.
type Model struct {
	ID      string
	Created time.Time // the zero time is written as 0
	OwnedBy string
}

// AppendModels appends the answer to GET /v1/models, {"object":"list","data":[..]} with the models in the given order,
// and returns the extended slice. Created is in Unix seconds, as OpenAI's API reference has it.
func AppendModels(dst []byte, models []Model) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	for i, m := range models {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"id":`...)
		dst = appendString(dst, m.ID)
		dst = append(dst, `,"object":"model","created":`...)
		var created int64
		if !m.Created.IsZero() {
			created = m.Created.Unix()
		}
		dst = strconv.AppendInt(dst, created, 10)
		dst = append(dst, `,"owned_by":`...)
		dst = appendString(dst, m.OwnedBy)
		dst = append(dst, '}')
	}
	return append(dst, "]}"...)
}
