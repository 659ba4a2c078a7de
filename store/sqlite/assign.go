package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"reflect"
)

// assign stores what the driver read in the variable that into points to: a
// text, a whole number, a truth value, octets or a sql.Scanner. Nothing is
// converted that would change or lose something.
func assign(into any, v driver.Value) error {
	switch to := into.(type) {
	case *[]byte:
		switch from := v.(type) {
		case []byte:
			*to = from // the driver's own copy, which nobody else has
			return nil
		case string:
			*to = []byte(from)
			return nil
		case nil:
			*to = nil
			return nil
		}
	case sql.Scanner:
		return to.Scan(v)
	default:
		value := reflect.ValueOf(into).Elem()
		switch from := v.(type) {
		case string:
			if value.Kind() == reflect.String {
				value.SetString(from)
				return nil
			}
		case int64:
			if value.CanInt() && !value.OverflowInt(from) {
				value.SetInt(from)
				return nil
			}
			if value.CanUint() && from >= 0 && !value.OverflowUint(uint64(from)) {
				value.SetUint(uint64(from))
				return nil
			}
			if value.Kind() == reflect.Bool && (from == 0 || from == 1) {
				value.SetBool(from == 1)
				return nil
			}
		}
	}
	return fmt.Errorf("a %T is not a %T", v, into)
}
