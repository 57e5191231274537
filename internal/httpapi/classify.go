package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tiffin-food/tiffin/internal/durable"
	"github.com/tiffin-food/tiffin/internal/redact"
)

// Classify says what an answer means to who owes a command. It is pure.
//
//	2xx                                 Accepted: carried out
//	4xx but 401, 403, 408, 425 and 429  Rejected: the other side never will
//	an error, 1xx, 3xx, 5xx and others  Retry: nobody knows, or not now
func Classify(status int, err error) durable.Verdict {
	switch {
	case err != nil:
		return durable.Retry
	case status >= 200 && status < 300:
		return durable.Accepted
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, // our key is being changed, or is wrong: no order ends for that
		http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return durable.Retry
	}
	if status >= 400 && status < 500 {
		return durable.Rejected
	}
	return durable.Retry
}

// Outcome is what a command came to, from what Do returned.
func Outcome(r Result, err error) durable.Outcome {
	o := durable.Outcome{Verdict: Classify(r.Status, err), Status: r.Status, After: r.RetryAfter}
	switch {
	case err != nil:
		o.Detail = bound(err.Error(), maxDetail)
	case o.Verdict == durable.Accepted:
		o.Body = r.Body
	default:
		o.Detail = Detail(r.Status, r.Body)
	}
	return o
}

// Detail is what an answer that is no success says is wrong, in at most 500 bytes: the detail of a problem, the
// first message of a list as FastAPI makes it, or the status's name. Nothing else of the body is repeated, and no card's
// number.
func Detail(status int, body []byte) string {
	var p struct {
		Detail json.RawMessage `json:"detail"`
		Title  string          `json:"title"`
	}
	_ = json.Unmarshal(body, &p)
	var text string
	var list []struct {
		Loc []any  `json:"loc"`
		Msg string `json:"msg"`
	}
	if json.Unmarshal(p.Detail, &text) != nil && json.Unmarshal(p.Detail, &list) == nil && len(list) > 0 {
		var where []string
		for _, l := range list[0].Loc {
			switch l := l.(type) {
			case string:
				where = append(where, l)
			case float64:
				where = append(where, strconv.FormatFloat(l, 'f', -1, 64))
			}
		}
		text = strings.Join(where, ".") + ": " + list[0].Msg
	}
	if text == "" {
		text = p.Title
	}
	if text == "" {
		text = strings.TrimSpace("status " + strconv.Itoa(status) + " " + http.StatusText(status))
	}
	return bound(redact.Numbers(strings.ToValidUTF8(text, "\uFFFD")), maxDetail)
}

// maxRetryAfter bounds what another side can make us wait.
const maxRetryAfter = time.Hour

// parseRetryAfter reads seconds or a date; 0 where there is nothing sensible.
func parseRetryAfter(s string, now time.Time) time.Duration {
	if s == "" {
		return 0
	}
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	if t, err := http.ParseTime(s); err == nil {
		return min(max(0, t.Sub(now)), maxRetryAfter)
	}
	return 0
}
