// Starts the page of a service: the service classifies.

import { startApp } from "./app.js";
import { ServiceClient } from "./service_client.js";

startApp(new ServiceClient());
