# A static binary on nothing. Build: docker build -t covenant .
FROM rust:1.95-alpine AS build
RUN apk add --no-cache musl-dev cmake make perl gcc g++ linux-headers
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin covenant && mv target/release/covenant /covenant

FROM scratch
COPY --from=build /covenant /covenant
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/covenant"]
CMD ["run"]
