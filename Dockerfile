# A small image that runs as nobody in particular. It has not been built or run
# by us: no container engine was at hand. A test keeps its sources and its build
# command true to the tree.
ARG BUILD_IMAGE=golang:1.26-bookworm
ARG BASE_IMAGE=scratch

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY Makefile ./
COPY ca ./ca
COPY cmd ./cmd
COPY config ./config
COPY probe ./probe
COPY protocols ./protocols
COPY store ./store
# cgo is needed for PKCS#11 alone: this image has the file signer only.
ENV CGO_ENABLED=0
RUN make build

FROM ${BASE_IMAGE}
# Trust anchors for what the daemon asks over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/bin/enrollgate /usr/local/bin/enrollgate
# Numeric, so that an orchestrator can see that it is not root.
USER 65532:65532
EXPOSE 8443 8080 9443
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/enrollgate"]
CMD ["serve", "--config", "/etc/enrollgate/enrollgate.yaml"]
