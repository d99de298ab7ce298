// Package ext stands in for the module of this name, which Traefik keeps in its repository and out of module proxies: places where
// its commercial build adds fields. They are empty in the open one, too.
package ext

// HTTP adds nothing.
type HTTP struct{}

// DeepCopyInto copies nothing.
func (in *HTTP) DeepCopyInto(out *HTTP) {}

// Router adds nothing.
type Router struct{}

// DeepCopyInto copies nothing.
func (in *Router) DeepCopyInto(out *Router) {}
