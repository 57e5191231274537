package wire

import "math"

// Position is a place in the city, in metres on a flat plane: x to the east and y to the north of a point
// the operator chose. A city is small enough for a plane, and the recorded days come as one.
type Position struct {
	X float64 `json:"x" doc:"Metres east of the city's origin"`
	Y float64 `json:"y" doc:"Metres north of the city's origin"`
}

// Distance is the straight line from p to q in metres.
func (p Position) Distance(q Position) float64 { return math.Hypot(p.X-q.X, p.Y-q.Y) }
