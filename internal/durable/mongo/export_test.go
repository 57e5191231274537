package mongo

import (
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/tiffin-food/tiffin/internal/durable"
)

// Update is what a save of r sends.
func Update(r durable.Record) bson.D { return contentOf(r).update() }
