package postgres

import (
	"testing"

	"github.com/enrollgate/enrollgate/store/conformance"
)

func TestUpkeepConformance(t *testing.T) { conformance.Upkeep(t, driver("")) }

func TestUpkeepThroughPooler(t *testing.T) { conformance.Upkeep(t, driver("exec")) }

func TestRetentionConformance(t *testing.T) {
	t.Parallel()
	conformance.Retention(t, driver(""))
}
