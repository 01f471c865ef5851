// The main journeys in a real browser, axe on every page, a picture of each.
// Arguments: a JSON file with the base address, the sessions by role, and the paths by role. Exit status 0: no complaint.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const stage = JSON.parse(readFileSync(process.argv[2], "utf8"));
const need = createRequire(join(stage.modules, "package.json"));
const { chromium } = need("playwright-core");
const axe = readFileSync(need.resolve("axe-core/axe.min.js"), "utf8");
const complaints = [];
mkdirSync(stage.pictures, { recursive: true });

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: stage.chromium, args: flags });

async function visitor(role, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, bypassCSP: true, ...options });
    if (stage.sessions[role]) {
        await context.addCookies([{ name: "enlace-session", value: stage.sessions[role], url: stage.base }]);
    }
    const page = await context.newPage();
    page.on("request", (request) => {
        if (!request.url().startsWith(stage.base) && !request.url().startsWith("data:")) complaints.push(`fetched ${request.url()}`);
    });
    page.on("pageerror", (error) => complaints.push(`script error: ${error}`));
    return { context, page };
}

async function look(page, path, name, { audit = true } = {}) {
    const answer = await page.goto(stage.base + path);
    if (answer && answer.status() >= 400) complaints.push(`${name} ${path}: ${answer.status()}`);
    await page.screenshot({ path: join(stage.pictures, `${name}.png`), fullPage: true });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (overflow > 0) complaints.push(`${name} ${path}: wider than the window by ${overflow} px`);
    if (!audit) return;
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
    for (const violation of found.violations) {
        complaints.push(`${name} ${path}: ${violation.id}: ${violation.nodes.slice(0, 2).map((node) => node.html.slice(0, 160)).join(" | ")}`);
    }
}

const plain = (path) => path.replace(/^\/u\/.*/, "leave").replace(/[0-9a-f]{16}/g, "id");
const file = (path) => (plain(path).replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "") || "start").slice(0, 60);

// Every page, with axe: each role in English, then Spanish, Arabic, dark, narrow.
const session = (role) => (role === "admin" ? "operator" : role);
for (const [role, paths] of Object.entries(stage.paths)) {
    const { context, page } = await visitor(session(role));
    for (const path of paths) await look(page, path, `${role}-en-${file(path)}`);
    await context.close();
}
for (const [language, options] of [["es", {}], ["ar", {}], ["en", { colorScheme: "dark" }], ["es", { viewport: { width: 360, height: 740 } }], ["ar", { viewport: { width: 360, height: 740 } }]]) {
    const kind = options.viewport ? `${language}-360` : options.colorScheme ? `${language}-dark` : language;
    for (const [role, paths] of [["manager", [...stage.paths.anonymous, ...stage.paths.member, ...stage.paths.manager]], ["operator", stage.paths.admin]]) {
        const { context, page } = await visitor(role, options);
        for (const path of paths) {
            const separator = path.includes("?") ? "&" : "?";
            await look(page, `${path}${separator}lang=${language}`, `${kind}-${file(path)}`, { audit: kind === "ar" || kind === "en-dark" });
        }
        await context.close();
    }
}
// On paper: a statement and a meeting without what a reader cannot press.
{
    const { context, page } = await visitor("member");
    await page.emulateMedia({ media: "print" });
    for (const path of [`/liaisons/${stage.statement}`, ...stage.paths.anonymous.filter((path) => path.startsWith("/meetings/"))]) {
        await look(page, path, `print-${file(path)}`, { audit: false });
        const shown = await page.locator("button:visible, nav:visible").count();
        if (shown > 0) complaints.push(`print ${path}: ${shown} buttons or menus on paper`);
    }
    await context.close();
}

// A member, without scripts: absence on and off, leaving and coming back; in Spanish.
{
    const { context, page } = await visitor("member", { javaScriptEnabled: false });
    await page.goto(`${stage.base}/me?lang=es`);
    await page.fill("#vacation", stage.vacation);
    await page.getByRole("button", { name: "Parar el correo" }).click();
    if (!(await page.getByRole("status").innerText()).includes("No llegará correo")) complaints.push("absence was not noted");
    await page.getByRole("button", { name: "Reanudar el correo" }).click();
    await page.goto(`${stage.base}/groups/${stage.group}`);
    await page.getByRole("button", { name: /Darme de baja/ }).click();
    await page.getByRole("button", { name: "Suscribirme" }).click();
    if (!(await page.getByRole("status").innerText()).includes("Ya está suscrito")) complaints.push("she did not come back");
    await context.close();
}
// A member, without scripts: another address, a new address of the calendar; one whose mail came back returns.
{
    const { context, page } = await visitor("member", { javaScriptEnabled: false });
    await page.goto(`${stage.base}/me?lang=en`);
    const before = await page.inputValue("#calendar");
    await page.getByRole("button", { name: "New address; the old one ends" }).click();
    if ((await page.inputValue("#calendar")) === before) complaints.push("the calendar kept its address");
    await page.fill("#address", "ana@home.example.org");
    await page.getByRole("button", { name: "Send a link there" }).click();
    if (!(await page.getByText("waits for its link").isVisible())) complaints.push("the address does not wait");
    await page.getByRole("button", { name: "Remove: ana@home.example.org" }).click();
    if ((await page.getByText("waits for its link").count()) > 0) complaints.push("the address was not taken back");
    await context.close();
    const other = await visitor("resting", { javaScriptEnabled: false });
    await other.page.goto(`${stage.base}/me?lang=en`);
    await other.page.getByRole("button", { name: "Send me the mail again" }).click();
    if (!(await other.page.getByRole("status").innerText()).includes("Mail comes again")) complaints.push("she did not return");
    await other.context.close();
}
// An operator, without scripts: a new regional group with its draft to TSAG, a period previewed, a token made and ended.
{
    const { context, page } = await visitor("operator", { javaScriptEnabled: false });
    await page.goto(`${stage.base}/admin/groups?lang=en`);
    await page.fill("#code", "SG13RG-XYZ");
    await page.fill("#list", "sg13rg-xyz");
    await page.selectOption("#parent", "SG13");
    await page.selectOption("#region", "europe");
    await page.fill("#name-en", "A \"new\" group");
    await page.fill("#members", "Mexico\nBrazil");
    await page.getByRole("button", { name: "Preview" }).first().click();
    await page.screenshot({ path: join(stage.pictures, "admin-en-group-preview.png"), fullPage: true });
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByRole("link", { name: "Draft of the statement to TSAG" }).click();
    if (!page.url().includes("/admin/liaisons/")) complaints.push(`the draft led to ${page.url()}`);
    await page.screenshot({ path: join(stage.pictures, "admin-en-draft.png"), fullPage: true });
    await page.goto(`${stage.base}/admin/period`);
    await page.fill("#period", "2025-2028");
    await page.fill("#answer_by", stage.vacation);
    await page.getByRole("button", { name: "Preview" }).click();
    if (!(await page.getByRole("button", { name: "Begin the period and ask everybody" }).isVisible())) complaints.push("the period has no preview");
    await page.screenshot({ path: join(stage.pictures, "admin-en-period-preview.png"), fullPage: true });
    await page.goto(`${stage.base}/admin/tokens`);
    await page.fill("#name", "journey");
    await page.fill("#scope", "read");
    await page.getByRole("button", { name: "Make a token" }).click();
    if ((await page.locator("code").innerText()).length < 20) complaints.push("no token was shown");
    await page.getByRole("button", { name: "Revoke journey" }).click();
    await context.close();
}
// A manager, by keyboard only: release the held post, approve a request.
{
    const { context, page } = await visitor("manager");
    const press = async (name) => {
        for (let steps = 0; steps < 150; steps += 1) {
            await page.keyboard.press("Tab");
            const text = await page.evaluate(() => document.activeElement?.textContent?.trim() ?? "");
            if (text === name || text.startsWith(name)) return page.keyboard.press("Enter");
        }
        throw new Error(`${name} is not reached by the keyboard`);
    };
    await page.goto(`${stage.base}/manage/${stage.group}`);
    await Promise.all([page.waitForURL(/held$/), press("Held posts")]);
    await Promise.all([page.waitForURL(/held\//), press("A question from outside")]);
    await Promise.all([page.waitForURL(/done=released/), press("Let it through")]);
    await Promise.all([page.waitForURL(/requests$/), press("Requests")]);
    await Promise.all([page.waitForURL(/done=approved/), press("Approve")]);
    await Promise.all([page.waitForURL(/rules$/), press("Rules of membership")]);
    await press("Preview");
    await page.getByRole("status").waitFor();
    await page.screenshot({ path: join(stage.pictures, "manager-en-rules-preview.png"), fullPage: true });
    await Promise.all([page.waitForURL(/held$/), press("Held posts")]);
    await Promise.all([page.waitForURL(/done=saved/), press("Remove")]);
    await context.close();
}
// Adding with a preview, on a phone, in Arabic.
{
    const { context, page } = await visitor("manager", { viewport: { width: 360, height: 740 } });
    await page.goto(`${stage.base}/manage/${stage.group}/members?lang=ar`);
    await page.fill("#addresses", "eva@example.org\nnobody@example.org");
    await page.locator(`form[action$="/members"][method=post] button`).click();
    if ((await page.locator(".badge.refused").count()) < 2) complaints.push("the preview did not refuse who is not of the region or not known");
    await page.screenshot({ path: join(stage.pictures, "ar-360-preview.png"), fullPage: true });
    if ((await page.evaluate(() => document.dir)) !== "rtl") complaints.push("Arabic does not run from right to left");
    await context.close();
}
// A stranger signs in by the link that was mailed.
{
    const { context, page } = await visitor("nobody");
    await page.goto(`${stage.base}/sign-in`);
    await page.fill("#address", stage.address);
    await page.getByRole("button", { name: "Send me the link" }).click();
    console.log("ASKED");
    const link = await new Promise((resolve) => process.stdin.once("data", (line) => resolve(String(line).trim())));
    await page.goto(stage.base + link);
    await page.getByRole("main").getByRole("button", { name: "Sign in" }).click();
    if (!page.url().endsWith("/me")) complaints.push(`signing in led to ${page.url()}`);
    await page.getByRole("button", { name: "Sign out", exact: true }).click();
    if (!(await page.getByRole("status").innerText()).includes("signed out")) complaints.push("signing out was not said");
    await context.close();
}
await browser.close();
for (const complaint of [...new Set(complaints)]) console.error(complaint);
console.log(complaints.length === 0 ? "DONE" : `${complaints.length} COMPLAINTS`);
process.exit(complaints.length === 0 ? 0 : 1);
