package trail

import "github.com/enrollgate/enrollgate/ca/audit"

// Batch is one link of a replica's chain.
type Batch = audit.Batch
