package durable

import "time"

// Todo is something a record still has to do, as a person is told.
type Todo struct {
	Service string    `json:"service,omitempty" doc:"Whose it is"`
	Name    string    `json:"name"`
	Kind    string    `json:"kind" doc:"command, message or timer"`
	Due     time.Time `json:"due"`
	Attempt int       `json:"attempt" doc:"How often it was tried in vain"`
	Last    string    `json:"last,omitempty" doc:"What went wrong the last time"`
	Parked  string    `json:"parked,omitempty" doc:"Why a person must look; it is not tried again before"`
}

// Todo lists what the record owes, never nil.
func (r Record) Todo(service string) []Todo {
	list := make([]Todo, len(r.Owed))
	for i, o := range r.Owed {
		list[i] = Todo{service, o.Name, string(o.Kind), o.Due, o.Attempt, o.Last, o.Parked}
	}
	return list
}
