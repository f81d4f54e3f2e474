package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Lists are answered a page at a time: ?limit=N says how long one is, and "next" in the answer is the ?cursor= of the one behind it. A cursor names the
// last entry of its page, so that what comes in front meanwhile shifts nothing.
const (
	defaultPage = 1000
	longestPage = 5000
)

// paged is the page of a list that a request asks for.
func paged[T any](r *http.Request, name string, list []T, id func(*T) string) (any, error) {
	return pagedWith(r, name, list, id, map[string]any{})
}

// pagedWith is paged with more in the answer.
func pagedWith[T any](r *http.Request, name string, list []T, id func(*T) string, answer map[string]any) (any, error) {
	limit := defaultPage
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > longestPage {
			return nil, &Problem{http.StatusBadRequest, "bad_page", fmt.Sprintf("A page has from 1 to %d entries.", longestPage), ""}
		}
		limit = n
	}
	if cursor := r.URL.Query().Get("cursor"); cursor != "" {
		at, err := behind(list, cursor, id)
		if err != nil {
			return nil, err
		}
		list = list[at:]
	}
	answer[name] = list
	if len(list) > limit {
		answer[name] = list[:limit]
		answer["next"] = base64.RawURLEncoding.EncodeToString([]byte(id(&list[limit-1])))
	}
	return answer, nil
}

// behind is where the page begins that a cursor is of.
func behind[T any](list []T, cursor string, id func(*T) string) (int, error) {
	last, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		for i := range list {
			if id(&list[i]) == string(last) {
				return i + 1, nil
			}
		}
	}
	return 0, &Problem{http.StatusBadRequest, "bad_page", "The entry that this cursor names is not there, or not any more.", "Begin with the first page, without a cursor."}
}

// pages asks for all pages of a list.
func pages[T any](ctx context.Context, c *Client, path, name string) ([]T, error) {
	all, _, err := pagesWith[T](ctx, c, path, name)
	return all, err
}

// pagesWith is pages, with what else the last one says.
func pagesWith[T any](ctx context.Context, c *Client, path, name string) (all []T, rest map[string]json.RawMessage, err error) {
	glue, cursor := "?", ""
	all = []T{}
	if strings.Contains(path, "?") {
		glue = "&"
	}
	for {
		var answer map[string]json.RawMessage
		at := path
		if cursor != "" {
			at += glue + "cursor=" + url.QueryEscape(cursor)
		}
		if err := c.call(ctx, http.MethodGet, at, nil, &answer); err != nil {
			return nil, nil, err
		}
		var part []T
		if err := json.Unmarshal(answer[name], &part); err != nil {
			return nil, nil, fmt.Errorf("read the answer of %s: %w", c.path, err)
		}
		all = append(all, part...)
		next := ""
		if raw := answer["next"]; raw != nil {
			if err := json.Unmarshal(raw, &next); err != nil {
				return nil, nil, fmt.Errorf("read the answer of %s: %w", c.path, err)
			}
		}
		if next == "" {
			return all, answer, nil
		}
		if next == cursor {
			return nil, nil, fmt.Errorf("read the answer of %s: its pages go round in a circle", c.path)
		}
		cursor = next
	}
}

// readRest reads what an answer says beside its list.
func readRest(c *Client, rest map[string]json.RawMessage, into map[string]any) error {
	for name, value := range into {
		if err := json.Unmarshal(rest[name], value); err != nil {
			return fmt.Errorf("read the answer of %s: %w", c.path, err)
		}
	}
	return nil
}
