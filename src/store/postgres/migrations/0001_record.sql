-- The record of Enlace. Plain SQL that PostgreSQL, Citus, YugabyteDB and CockroachDB run: no sequences, no triggers,
-- no types of our own. Identifiers are 64 bits without sign, stored with the sign bit turned, so that they sort.
-- Names and codes are octets: they sort by octet whatever the collation, and hold any character.

CREATE TABLE accounts (
    id bigint PRIMARY KEY,
    expires integer,
    record bytea NOT NULL
);
CREATE INDEX accounts_expires ON accounts (expires, id);

CREATE TABLE addresses (
    address bytea PRIMARY KEY,
    account bigint NOT NULL
);

-- Its row is also the lock under which accounts are written.
CREATE TABLE account_counts (
    name integer PRIMARY KEY,
    value bigint NOT NULL
);
INSERT INTO account_counts (name, value) VALUES (0, 0);

CREATE TABLE mail_groups (
    code bytea PRIMARY KEY,
    record bytea NOT NULL
);

CREATE TABLE subscriptions (
    code bytea NOT NULL,
    account bigint NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (code, account)
);
CREATE INDEX subscriptions_account ON subscriptions (account, code);

CREATE TABLE bodies (
    key bytea PRIMARY KEY,
    octets bigint NOT NULL,
    crc bigint NOT NULL
);

CREATE TABLE chunks (
    key bytea NOT NULL,
    number integer NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (key, number)
);

-- state: 0 to be planned, 1 held, 2 planned, 3 over.
CREATE TABLE posts (
    id bigint PRIMARY KEY,
    version bigint NOT NULL,
    state integer NOT NULL,
    halted boolean NOT NULL,
    not_before bigint NOT NULL,
    message bytea NOT NULL,
    code bytea NOT NULL,
    octets bigint NOT NULL,
    urgency integer NOT NULL,
    planner bigint NOT NULL,
    planner_until bigint NOT NULL,
    record bytea NOT NULL
);
CREATE INDEX posts_to_plan ON posts (not_before, id) WHERE state = 0;
CREATE INDEX posts_held ON posts (id) WHERE state = 1;
CREATE INDEX posts_message ON posts (message, id);

CREATE TABLE post_groups (
    code bytea NOT NULL,
    post bigint NOT NULL,
    PRIMARY KEY (code, post)
);

CREATE TABLE repetitions (
    key bytea PRIMARY KEY,
    post bigint NOT NULL
);

CREATE TABLE plans (
    post bigint PRIMARY KEY,
    batches integer NOT NULL,
    open_batches integer NOT NULL,
    counts bytea NOT NULL
);
CREATE INDEX plans_open ON plans (post) WHERE open_batches > 0;

-- Written once while a post is planned; a slice of a planner that was not the one to finish is removed.
CREATE TABLE slices (
    post bigint NOT NULL,
    planner bigint NOT NULL,
    number integer NOT NULL,
    size integer NOT NULL,
    open integer NOT NULL,
    counts bytea NOT NULL,
    plan bytea NOT NULL,
    PRIMARY KEY (post, planner, number)
);

-- ready: when it may be claimed, which is when it is due or when the lease of its holder (0: nobody) ends.
CREATE TABLE batches (
    post bigint NOT NULL,
    number integer NOT NULL,
    planner bigint NOT NULL,
    planned_at bigint NOT NULL,
    tries integer NOT NULL,
    due bigint NOT NULL,
    ready bigint NOT NULL,
    holder bigint NOT NULL,
    node bigint NOT NULL,
    closed boolean NOT NULL,
    size integer NOT NULL,
    open integer NOT NULL,
    counts bytea NOT NULL,
    sheet bytea,
    PRIMARY KEY (post, number)
);
CREATE INDEX batches_ready ON batches (ready, post, number) WHERE NOT closed;

-- Answers that are not yet in the sheet of their batch.
CREATE TABLE outcomes (
    post bigint NOT NULL,
    number integer NOT NULL,
    place bigint NOT NULL,
    node bigint NOT NULL,
    noted bytea NOT NULL,
    PRIMARY KEY (post, number, place, node)
);

-- Counts over all posts, in parts, so that nodes do not wait for each other.
CREATE TABLE totals (
    part integer PRIMARY KEY,
    counts bytea NOT NULL
);

CREATE TABLE marks (
    kind bytea NOT NULL,
    key bytea NOT NULL,
    at bigint NOT NULL,
    token bigint NOT NULL,
    PRIMARY KEY (kind, key)
);

CREATE TABLE tallies (
    kind bytea NOT NULL,
    key bytea NOT NULL,
    at bigint NOT NULL,
    tally bigint NOT NULL,
    PRIMARY KEY (kind, key)
);

CREATE TABLE settings (
    name bytea PRIMARY KEY,
    value bytea NOT NULL
);

CREATE TABLE requests (
    id bigint PRIMARY KEY,
    code bytea NOT NULL,
    record bytea NOT NULL
);

CREATE TABLE audit (
    at bigint NOT NULL,
    place bigint NOT NULL,
    node bigint NOT NULL,
    code bytea,
    record bytea NOT NULL,
    PRIMARY KEY (at, place, node)
);
CREATE INDEX audit_group ON audit (code, at, place, node);

CREATE TABLE entries (
    register bytea NOT NULL,
    key bytea NOT NULL,
    version bigint NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (register, key)
);
