/** The pages' script. */

import { accountPage } from "./account_page.ts";
import { App, type View } from "./app.ts";
import { loginPage } from "./login_page.ts";
import { peoplePage } from "./people_page.ts";
import { membersPage, runsPage, settingsPage, sharesPage, trashPage } from "./project_page.ts";
import { projectsPage } from "./projects_page.ts";
import { Router } from "./router.ts";
import { runPage } from "./run_page.ts";
import { setUpPage } from "./setup_page.ts";
import { sharedPage } from "./shared_page.ts";
import { tokensPage } from "./tokens_page.ts";

const router = new Router<View>({
  "/": { audience: "user", show: projectsPage },
  "/projects": { audience: "user", show: projectsPage },
  "/projects/:name": { audience: "user", show: runsPage },
  "/projects/:name/members": { audience: "user", show: membersPage },
  "/projects/:name/links": { audience: "user", show: sharesPage },
  "/projects/:name/settings": { audience: "user", show: settingsPage },
  "/projects/:name/trash": { audience: "user", show: trashPage },
  "/runs/:id": { audience: "user", show: runPage },
  "/tokens": { audience: "user", show: tokensPage },
  "/account": { audience: "user", show: accountPage },
  "/people": { audience: "user", show: peoplePage },
  "/login": { audience: "anyone", show: loginPage },
  "/setup": { audience: "anyone", show: setUpPage },
  "/share": { audience: "share", show: sharedPage },
  "/share/runs/:id": { audience: "share", show: runPage },
});

const place = document.getElementById("app");
if (place) void new App(place, router).render();
