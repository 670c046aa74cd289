package main

import (
	"encoding/json"
	"net/http"
	"strings"
)

// verdict classifies an answer.
type verdict string

const (
	// These are as they should be.
	whole   verdict = "whole"
	refused verdict = "refused" // by one error of the right form
	broken  verdict = "broken"  // visibly
	left    verdict = "left"    // by the client
	// These are not.
	lost    verdict = "lost"    // neither an answer nor an error that can be read
	blamed  verdict = "blamed"  // refused as if the request were at fault
	cut     verdict = "cut"     // not whole, and shown as if it were
	crossed verdict = "crossed" // another's
	spliced verdict = "spliced" // of two answers
)

// heard is an answer as a client puts it together.
type heard struct {
	content  string
	ids      map[string]bool // of the chunks, with the models
	finishes int
	done     bool
	failed   bool // by an error event
	// odd says that something of it is of no known form, or follows its end.
	odd bool
}

// chunk is a part of a stream, or all of an answer.
type chunk struct {
	ID      string `json:"id"`
	Model   string `json:"model"`
	Choices []struct {
		Delta, Message struct {
			Content string `json:"content"`
		}
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Error *struct {
		Message string `json:"message"`
		Type    string `json:"type"`
	} `json:"error"`
}

func (h *heard) take(data string) {
	var c chunk
	switch err := json.Unmarshal([]byte(data), &c); {
	case err != nil || h.done || h.failed:
		h.odd = true
	case c.Error != nil:
		h.failed = true
		h.odd = h.odd || c.Error.Message == "" || c.Error.Type == ""
	default:
		h.ids[c.ID+" of "+c.Model] = true
		for _, choice := range c.Choices {
			h.content += choice.Delta.Content + choice.Message.Content
			if choice.FinishReason != "" {
				h.finishes++
			}
		}
	}
}

// listen reads an answer. Of one that broke off, what is no whole event is
// nothing.
func (r reply) listen() heard {
	h := heard{ids: make(map[string]bool)}
	if r.status != http.StatusOK || !r.stream {
		h.take(r.body)
		h.done = h.finishes == 1
		return h
	}
	events := strings.SplitAfter(r.body, "\n\n")
	for _, event := range events {
		data, ok := strings.CutPrefix(event, "data: ")
		data, ended := strings.CutSuffix(data, "\n\n")
		switch {
		case event == "" || !ended && (r.err != nil || r.left):
		case !ok || !ended:
			h.odd = true
		case data == "[DONE]":
			h.odd = h.odd || h.done || h.failed
			h.done = true
		default:
			h.take(data)
		}
	}
	return h
}

// id is that of the answer.
func (r reply) id() string {
	for id := range r.listen().ids {
		id, _, _ = strings.Cut(id, " ")
		return id
	}
	return ""
}

// judge classifies the answer.
func (r reply) judge() verdict {
	if r.left && (r.status != http.StatusOK || !r.stream) {
		return left
	}
	if r.status == 0 {
		return lost
	}
	h := r.listen()
	if r.status != http.StatusOK {
		return r.judgeError(h)
	}
	prompt := promptPattern.FindString(h.content)
	switch partial := strings.HasPrefix(r.said(), h.content); {
	case len(h.ids) > 1:
		return spliced
	case !partial && prompt != "" && prompt != r.prompt:
		return crossed
	case !partial || h.odd:
		return spliced
	case r.left:
		return left
	case !r.stream:
		return r.judgeJSON(h)
	case h.done && (h.content != r.said() || h.finishes != 1 || r.err != nil):
		return cut
	case h.done:
		return whole
	case r.err == nil:
		return cut // a clean end
	default:
		return broken
	}
}

func (r reply) judgeJSON(h heard) verdict {
	switch {
	case r.err != nil || h.failed:
		return lost
	case h.content != r.said() || !h.done:
		return cut
	default:
		return whole
	}
}

// judgeError classifies an error. All requests are good ones: only claims, rate
// limits and providers can be at fault.
func (r reply) judgeError(h heard) verdict {
	switch {
	case r.err != nil || !h.failed || h.odd:
		return lost
	case r.status == http.StatusConflict && r.key != "", r.status == http.StatusTooManyRequests, r.status >= http.StatusInternalServerError:
		return refused
	default:
		return blamed
	}
}
