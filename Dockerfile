# Builds the `larder` binary and puts it into a small image. Only /data is ever written to.

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY migrations migrations
# Not built here, but the manifest names them.
COPY benches benches
COPY examples examples
COPY tests tests
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --profile dist --locked \
    && mkdir -p /out/data \
    && cp target/dist/larder /out/larder

FROM debian:bookworm-slim
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="larder" \
      org.opencontainers.image.description="An asset service for publishing releases" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Whom to trust when `larder` talks to another server over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/larder /usr/local/bin/larder
COPY --from=build --chown=65532:65532 /out/data /data
# A number, so that Kubernetes can check `runAsNonRoot`.
USER 65532:65532
WORKDIR /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s --retries=3 \
    CMD ["larder", "healthcheck", "--url", "http://127.0.0.1:8080/readyz"]
ENTRYPOINT ["/usr/local/bin/larder"]
CMD ["serve", "--data", "/data", "--listen", "0.0.0.0:8080"]
