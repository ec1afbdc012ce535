// Starts the page with answers from the service that serves it; does not know how it looks or what is drawn.

import { openPage } from "./app.js";
import { Service } from "./service_client.js";

openPage(new Service());
