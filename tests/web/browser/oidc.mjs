// A real OpenID Connect provider, and people who sign in through it in Chromium.
// Arguments: the folder with the packages, the base address of the site, Chromium. Prints "ISSUER URL", waits for a line, and
// prints "DONE" last when there is nothing to complain about.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import { generateKeyPairSync } from "node:crypto";

const [modules, base, executablePath] = process.argv.slice(2);
const need = createRequire(join(modules, "package.json"));
const { chromium } = need("playwright-core");
const { default: Provider } = await import(pathToFileURL(join(modules, "node_modules/oidc-provider/lib/index.js")));

const people = {
    ana: { email: "ana@example.org", email_verified: true, name: "Ana Of The Provider", nation: "FR" },
    eva: { email: "eva@new.example", email_verified: true, name: "Eva Of The Provider", nation: "MX", locales: ["es", "en"], employer: "Ministry" },
    una: { email: "una@example.org", email_verified: false, name: "Una" },
};
const key = (kid) => ({ ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" });
const challenges = [];
function provider(issuer, kid, ttl) {
    const made = new Provider(issuer, {
        clients: [{ client_id: "enlace", client_secret: "secret", redirect_uris: [`${base}/sign-in/oidc/back`], post_logout_redirect_uris: [`${base}/`] }],
        jwks: { keys: [key(kid)] },
        cookies: { keys: ["for the cookies of this provider"] },
        claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "nation", "locales", "employer"] },
        conformIdTokenClaims: false,
        pkce: { required: () => true },
        ttl: { IdToken: ttl, AccessToken: 600, Session: 3600, Grant: 3600, Interaction: 600 },
        findAccount: (_, sub) => (people[sub] ? { accountId: sub, claims: () => ({ sub, ...people[sub] }) } : undefined),
    });
    made.on("authorization.accepted", (ctx) => challenges.push(ctx.oidc.params));
    return made;
}

let answer;
const server = createServer((request, response) => answer(request, response));
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const issuer = `http://localhost:${server.address().port}`;
answer = provider(issuer, "first", 600).callback();
console.log(`ISSUER ${issuer}`);
await new Promise((resolve) => process.stdin.once("data", resolve));

const complaints = [];
const expect = (what, is) => { if (!is) complaints.push(what); };
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args: flags });

// The link to the provider.
async function to(page) {
    const link = page.locator('a[href^="/sign-in/oidc"]');
    if ((await link.count()) === 0) throw new Error(`no link to the provider on ${page.url()}: ${await page.content()}`);
    await link.click();
}
// To the provider, through its pages, and back as far as our button or our refusal.
async function come(page, login) {
    await page.goto(`${base}/sign-in`);
    await to(page);
    if (!page.url().startsWith(issuer)) return;
    if (await page.locator("input[name=login]").count()) {
        await page.fill("input[name=login]", login);
        await page.fill("input[name=password]", "any");
        await page.locator("button[type=submit]").click();
    }
    if (page.url().startsWith(issuer)) await page.locator("button[type=submit]").click();
}
const enter = (page) => page.getByRole("main").getByRole("button", { name: "Sign in" }).click();
const refused = async (page) => {
    const heading = await page.getByRole("heading", { level: 1 }).innerText();
    return heading === "You could not be signed in" || heading.includes("does not work any more");
};

// Ana: in, out here, out there, and the provider asks for her password again.
{
    const context = await browser.newContext();
    const page = await context.newPage();
    await come(page, "ana");
    expect("coming back alone signed her in", !(await context.cookies(base)).some((cookie) => cookie.name === "enlace-session"));
    const answered = page.url();
    await enter(page);
    expect(`signing in led to ${page.url()}`, page.url() === `${base}/me`);
    expect("the code was asked for without PKCE", challenges.length > 0 && challenges.every((asked) => asked.code_challenge_method === "S256" && asked.nonce && asked.state));
    const second = await context.newPage();
    // In her own language, now that she is signed in.
    expect("an answer worked twice", (await second.goto(answered)).status() === 403);
    const stranger = await (await browser.newContext()).newPage();
    await stranger.goto(answered);
    expect("an answer worked in another browser", await refused(stranger));
    await page.locator('form[action="/sign-out"] button').first().click();
    expect("the session went on", !(await context.cookies(base)).some((cookie) => cookie.name === "enlace-session"));
    await page.locator(`main a[href^="${issuer}/session/end"]`).click();
    expect(`no page of the provider asks: ${page.url()}`, page.url().startsWith(`${issuer}/session/end`));
    await page.locator("button[name=logout], button[type=submit]").first().click();
    await page.waitForURL(`${base}/`);
    await page.goto(`${base}/sign-in`);
    await to(page);
    expect("the provider still knew her", (await page.locator("input[name=login]").count()) === 1);
    await context.close();
}
// An answer that is caught on its way back: the browser that asked does not know that it did until it gets its cookie again.
async function caught(login) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${base}/sign-in`);
    await to(page);
    await page.fill("input[name=login]", login);
    await page.fill("input[name=password]", "any");
    await page.locator("button[type=submit]").click();
    await page.waitForURL(`${issuer}/**`);
    const cookies = (await context.cookies(base)).filter((cookie) => cookie.name === "enlace-oidc");
    await context.clearCookies({ name: "enlace-oidc" });
    await page.locator("button[type=submit]").click();
    expect("a browser that did not ask came in", await refused(page));
    const answer = new URL(page.url());
    await context.addCookies(cookies);
    return { context, page, answer };
}
// Another state, another sign-in's code, and no to everything.
{
    const [first, second] = [await caught("ana"), await caught("ana")];
    const other = new URL(first.answer);
    other.searchParams.set("state", "made-up");
    await first.page.goto(String(other));
    expect("another state was taken", await refused(first.page));
    // Its cookie has another nonce and verifier.
    const mixed = new URL(second.answer);
    mixed.searchParams.set("code", first.answer.searchParams.get("code"));
    await second.page.goto(String(mixed));
    expect("the code of another sign-in was taken", await refused(second.page));
    const third = await caught("ana");
    const refusal = new URL(third.answer);
    refusal.searchParams.delete("code");
    refusal.searchParams.set("error", "access_denied");
    await third.page.goto(String(refusal));
    expect("a refusal of the provider signed in", await refused(third.page));
    for (const one of [first, second, third]) await one.context.close();
}
// Eva has no account; Una's address is not verified.
for (const [login, comes] of [["eva", true], ["una", false]]) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await come(page, login);
    if (comes) {
        await enter(page);
        expect(`${login} came to ${page.url()}`, page.url() === `${base}/me` && (await page.content()).includes("eva@new.example"));
    } else {
        expect(`${login} came in`, await refused(page));
    }
    await context.close();
}
// The keys are others since: the description is read again, though no more often than once a minute.
{
    answer = provider(issuer, "second", 600).callback();
    const context = await browser.newContext();
    const page = await context.newPage();
    let good = false;
    for (let tries = 0; tries < 7 && !good; tries += 1) {
        if (tries > 0) await new Promise((resolve) => setTimeout(resolve, 11_000));
        await come(page, "eva");
        good = !(await refused(page));
    }
    if (good) await enter(page);
    expect(`the new keys were not read: ${page.url()}`, good && page.url() === `${base}/me`);
    await context.close();
}
// The provider is away: nobody is signed in, and the link by mail is still there.
{
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${base}/sign-in`);
    await to(page);
    await page.waitForLoadState();
    const shown = page.url();
    await page.goto(`${base}/sign-in`);
    expect(`${shown}: the link by mail is gone with the provider`, (await page.locator("#address").count()) === 1);
    await context.close();
}
await browser.close();
for (const complaint of complaints) console.error(complaint);
console.log(complaints.length === 0 ? "DONE" : `${complaints.length} COMPLAINTS`);
process.exit(complaints.length === 0 ? 0 : 1);
